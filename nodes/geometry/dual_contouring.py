"""Surfaces of values at the corners of a grid: a vertex in each cell that is cut.

T. Ju, F. Losasso, S. Schaefer and J. Warren, "Dual contouring of Hermite data", 2002. A vertex lies
where the planes through the cuts of its cell meet best, or in the middle of the cuts (S. F. F.
Gibson, "Constrained elastic surface nets", 1998).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from nodes.geometry.arrays import Flags, Indices, Reals, dots
from nodes.geometry.cell_patches import CORNERS, both_pieces, patches
from nodes.geometry.distance_fields import DistanceField
from nodes.geometry.normals import unit

_TOWARDS_MIDDLE: Final = 0.01  # of a plane, so that what planes do not tell is in the middle
_SLACK: Final = 0.5  # how far beyond its cell a vertex may be: at its border edges lose their form

# Two corners of the field and the axis on which they lie -> the places where a surface cuts the
# edges [C, 3], its normals there, and the triangles [C] to which it belongs.
Cut: TypeAlias = Callable[[Indices, Indices, Indices], tuple[Reals, Reals, Indices]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Contour:
    """A surface, and of what each vertex was made."""

    vertices: Reals  # [N, 3]
    faces: Indices  # [M, 3]
    makers: Indices  # [4 C] vertices that a cut had a part in ...
    triangles: Indices  # [4 C] ... and the triangle to which that belongs


def contour(
    field: DistanceField,
    inside: Flags,
    cut: Cut,
    *,
    by_planes: bool,
    manifold: bool,
    beyond: Flags | None = None,
) -> Contour:
    """The surface between the corners `inside` [K] of a field and those outside.

    Both ends of each edge that it cuts are in the field; it ends where both are `beyond` it. With
    `manifold`, cells are cut into pieces with a vertex each, which needs all their corners in the
    field: then no edge has more than two faces (G. Nielson, "Dual marching cubes", 2004;
    S. Schaefer, T. Ju and J. Warren, "Manifold dual contouring", 2007).
    """
    starts, ends, axes = _crossings(field, inside)
    if beyond is not None:
        on_surface = ~(beyond[starts] & beyond[ends])
        starts, ends, axes = starts[on_surface], ends[on_surface], axes[on_surface]
    points, normals, triangles = cut(starts, ends, axes)
    around = _cells_around(field, starts, axes)  # c 4
    keys, numbers = np.unique(around, return_inverse=True)
    numbers = numbers.reshape(-1, 4)
    cells = keys
    if manifold:
        owners, numbers = _pieces(field, inside, keys, numbers, axes)
        cells = keys[owners]
    middles = _means(numbers, points, len(cells))
    vertices = _meeting(numbers, points, normals, middles) if by_planes else middles
    corners = field.places(cells)
    vertices = np.clip(vertices, corners - _SLACK, corners + 1 + _SLACK)
    quads = np.where(inside[starts][:, None], numbers, numbers[:, ::-1])
    outwards = np.where(inside[starts][:, None], 1.0, -1.0) * np.eye(3)[axes]
    faces = _halves(vertices, quads, normals * np.sign(dots(normals, outwards))[:, None])
    return Contour(
        vertices=vertices, faces=faces, makers=numbers.ravel(), triangles=np.repeat(triangles, 4)
    )


def _crossings(field: DistanceField, inside: Flags) -> tuple[Indices, Indices, Indices]:
    """Edges of the grid with one end inside: their first and second ends, and their axes."""
    starts, ends, axes = [], [], []
    for axis, stride in enumerate(field.strides):
        first, second = field.find(field.keys + stride)
        differ = inside[first] != inside[second]
        starts.append(first[differ])
        ends.append(second[differ])
        axes.append(np.full(int(differ.sum()), axis))
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(axes)


def _cells_around(field: DistanceField, starts: Indices, axes: Indices) -> Indices:
    """The keys of the four cells around edges [C, 4], counterclockwise about the axis."""
    strides = np.array(field.strides)
    first, second = strides[(axes + 1) % 3], strides[(axes + 2) % 3]
    keys = field.keys[starts]
    return np.stack([keys - first - second, keys - second, keys, keys - first], axis=1)


# The bits of an edge in the cells around it, in the order of `_cells_around`.
_FIRST: Final = np.array([1, 0, 0, 1])
_SECOND: Final = np.array([1, 1, 0, 0])


def _pieces(
    field: DistanceField, inside: Flags, keys: Indices, numbers: Indices, axes: Indices
) -> tuple[Indices, Indices]:
    """The cell of each piece, and the pieces around each edge [C, 4] in place of cells."""
    offsets = CORNERS @ np.array(field.strides)
    codes = np.zeros(len(keys), np.int64)
    for corner, offset in enumerate(offsets):
        there, at = field.find(keys + offset)
        codes[there] |= inside[at].astype(np.int64) << corner
    flips = _flips(field, keys, codes)
    pieces, counts = patches()
    edges = 4 * axes[:, None] + 2 * _FIRST + _SECOND
    found = pieces[codes[numbers], flips[numbers], edges]
    sizes = counts[codes, flips]
    firsts = np.cumsum(sizes) - sizes
    # At the border of a surface some pieces have no edge that is left.
    used, numbers = np.unique(firsts[numbers] + found, return_inverse=True)
    return np.repeat(np.arange(len(keys)), sizes)[used], numbers.reshape(-1, 4)


def _flips(field: DistanceField, keys: Indices, codes: Indices) -> Indices:
    """The sides of each cell on which crossings are joined the other way.

    Where two cells with one piece each would meet twice on a side, an edge would have four faces.
    """
    twice = both_pieces()
    flips = np.zeros(len(keys), np.int64)
    for axis, stride in enumerate(field.strides):
        at = np.minimum(np.searchsorted(keys, keys + stride), len(keys) - 1)
        low = np.flatnonzero(keys[at] == keys + stride)
        high = at[low]
        one, other = 2 * axis + 1, 2 * axis  # the upper side of one cell is the lower of the next
        both = twice[codes[low], flips[low], one] & twice[codes[high], flips[high], other]
        flips[low[both]] |= 1 << one
        flips[high[both]] |= 1 << other
    return flips


def _means(numbers: Indices, values: Reals, count: int) -> Reals:
    """The mean of the values [C, 3] of each cell, of which an edge has four [C, 4]."""
    amounts = _sums(numbers, np.ones((len(values), 1)), count)
    return _sums(numbers, values, count) / np.maximum(amounts, 1)


def _sums(numbers: Indices, values: Reals, count: int) -> Reals:
    total = np.zeros((count, values.shape[1]))
    for around in numbers.T:
        for column in range(values.shape[1]):
            total[:, column] += np.bincount(around, values[:, column], minlength=count)
    return total


def _meeting(numbers: Indices, points: Reals, normals: Reals, middles: Reals) -> Reals:
    """Where the planes of each cell meet: least squares, held in the middle a little."""
    count = len(middles)
    products = np.stack(
        [
            normals[:, i] * normals[:, j]
            for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
        ],
        axis=1,
    )
    xx, xy, xz, yy, yz, zz = _sums(numbers, products, count).T
    right = np.zeros((count, 3))
    for around in numbers.T:
        away = dots(normals, points - middles[around])
        for axis in range(3):
            right[:, axis] += np.bincount(around, away * normals[:, axis], minlength=count)
    xx, yy, zz = xx + _TOWARDS_MIDDLE, yy + _TOWARDS_MIDDLE, zz + _TOWARDS_MIDDLE
    a, b, c = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    d, e, f = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    x, y, z = right.T
    moved = np.stack([a * x + b * y + c * z, b * x + d * y + e * z, c * x + e * y + f * z], axis=1)
    meeting: Reals = middles + moved / (xx * a + xy * b + xz * c)[:, None]
    return meeting


def _halves(vertices: Reals, quads: Indices, normals: Reals) -> Indices:
    """Two triangles of each quad [C, 4], cut so that both look along its normal, else shortly."""
    places = vertices[quads]
    ways = []
    for start in range(2):
        a, b, c, d = (places[:, (start + i) % 4] for i in range(4))
        looks = [unit(np.cross(b - a, c - a)), unit(np.cross(c - a, d - a))]
        worst = np.minimum(dots(looks[0], normals), dots(looks[1], normals))
        ways.append((np.round(worst, 2), dots(c - a, c - a)))
    (one, short), (other, long) = ways
    turned = np.where((other > one) | ((other == one) & (long < short)), 1, 0)[:, None]
    ring = np.take_along_axis(quads, (turned + np.arange(4)) % 4, 1)
    return np.concatenate([ring[:, [0, 1, 2]], ring[:, [0, 2, 3]]])
