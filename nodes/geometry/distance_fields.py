"""How far the corners of a grid are from a surface, for those near to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from nodes.geometry.arrays import Indices, Reals, Step
from nodes.geometry.closest_points import shapes_of, squared_distances
from nodes.geometry.normals import face_crosses, unit
from nodes.geometry.threads import spread

_PAIRS_AT_ONCE: Final = 1 << 17  # of triangles and corners
_KEPT_APART: Final = 1 << 23  # distances before those of the same corner are brought together
_BLOCK: Final = 16  # cells: triangles are looked at block by block, so that corners come again


@dataclass(frozen=True, kw_only=True, slots=True)
class DistanceField:
    """The corners of a grid of cells of side 1 that are near to a surface, in order of their keys.

    Corner (x, y, z) has the key (x * size_y + y) * size_z + z.
    """

    sizes: tuple[int, int, int]  # corners along each axis
    keys: Indices  # [K]
    distances: Reals  # [K]
    triangles: Indices  # [K] which is nearest

    @property
    def strides(self) -> tuple[int, int, int]:
        """How far the keys of neighbours are apart along each axis."""
        return self.sizes[1] * self.sizes[2], self.sizes[2], 1

    def places(self, keys: Indices) -> Reals:
        """Where corners are [K, 3]."""
        return np.stack(np.unravel_index(keys, self.sizes), axis=1).astype(np.float64)

    def find(self, keys: Indices) -> tuple[Indices, Indices]:
        """Which of `keys` are there (their places in `keys`), and their places in the field."""
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        there = np.flatnonzero(self.keys[at] == keys)
        return there, at[there]


def distance_field(
    vertices: Reals, faces: Indices, sizes: tuple[int, int, int], reach: float, step: Step
) -> DistanceField:
    """The distances of all corners that are at most `reach` from a surface.

    Vertices [N, 3] are in cells and at least `reach` + 1 from the ends of the grid; triangles
    have an area. Each is drawn into the columns of corners along the axis that it looks along most.
    """
    centres = vertices[faces].mean(axis=1)
    blocks = (centres // _BLOCK).astype(np.int64)
    order = np.lexsort((blocks[:, 2], blocks[:, 1], blocks[:, 0]))
    triangles = _Triangles.of(vertices, faces[order], reach)
    held: list[tuple[Indices, Reals, Indices]] = []
    apart = 0
    starts = range(0, triangles.columns, triangles.at_once)
    for number, found in enumerate(spread(lambda start: triangles.near(start, sizes), starts)):
        step(number / len(starts))
        held.append(found)
        apart += len(held[-1][0])
        if apart > _KEPT_APART:
            held = [nearest_of(held)]
            apart = 0
    keys, squares, nearest = nearest_of(held)
    return DistanceField(
        sizes=sizes, keys=keys, distances=np.sqrt(squares), triangles=order[nearest]
    )


def nearest_of(parts: list[tuple[Indices, Reals, Indices]]) -> tuple[Indices, Reals, Indices]:
    """For each key its least value, and the triangle with that; keys in order."""
    keys, squares, triangles = (np.concatenate(column) for column in zip(*parts, strict=True))
    if not len(keys):
        return keys, squares, triangles
    order = np.argsort(keys)
    keys, squares, triangles = keys[order], squares[order], triangles[order]
    first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    least = np.minimum.reduceat(squares, first)
    numbers = np.repeat(np.arange(len(first)), np.diff(np.r_[first, len(keys)]))
    is_least = np.flatnonzero(squares == least[numbers])
    nearest = np.empty(len(first), np.int64)
    nearest[numbers[is_least[::-1]]] = triangles[is_least[::-1]]
    return keys[first], least, nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class _Triangles:
    shapes: Reals  # [M, 13]
    normals: Reals  # [M, 3]
    centres: Reals  # [M, 3]
    radii: Reals  # [M] of spheres about the centres
    axes: Indices  # [M, 3] the two across which columns stand, and that along which they go
    starts: Indices  # [M, 2] of the columns
    counts: Indices  # [M, 2]
    ends: Indices  # [M] how many columns there are up to each
    reach: float

    @classmethod
    def of(cls, vertices: Reals, faces: Indices, reach: float) -> _Triangles:
        corners = vertices[faces]
        normals = unit(face_crosses(vertices, faces))
        centres = corners.mean(axis=1)
        along = np.abs(normals).argmax(axis=1)
        axes = np.stack([(along + 1) % 3, (along + 2) % 3, along], axis=1)
        low = np.take_along_axis(corners.min(axis=1), axes[:, :2], 1) - reach
        high = np.take_along_axis(corners.max(axis=1), axes[:, :2], 1) + reach
        starts = np.ceil(low).astype(np.int64)
        counts = np.floor(high).astype(np.int64) - starts + 1
        return cls(
            shapes=shapes_of(corners),
            normals=normals,
            centres=centres,
            radii=np.linalg.norm(corners - centres[:, None], axis=2).max(axis=1),
            axes=axes,
            starts=starts,
            counts=counts,
            ends=np.cumsum(counts[:, 0] * counts[:, 1]),
            reach=reach,
        )

    @property
    def columns(self) -> int:
        """How many columns there are, those of all triangles."""
        return int(self.ends[-1])

    @property
    def depth(self) -> int:
        """How many corners of a column may be near to the plane of its triangle."""
        return int(np.floor(2 * self.reach * 3**0.5)) + 1

    @property
    def at_once(self) -> int:
        """How many columns are looked at together."""
        return max(1, _PAIRS_AT_ONCE // self.depth)

    def near(self, start: int, sizes: tuple[int, int, int]) -> tuple[Indices, Reals, Indices]:
        """The distances of corners in some columns, from the first of these on."""
        columns = np.arange(start, min(start + self.at_once, self.columns))
        numbers = np.searchsorted(self.ends, columns, side="right")
        within = columns - (self.ends - self.counts[:, 0] * self.counts[:, 1])[numbers]
        across = self.counts[numbers, 1]
        first = self.starts[numbers, 0] + within // across
        second = self.starts[numbers, 1] + within % across
        return nearest_of([self._distances(*self._along(numbers, first, second), sizes)])

    def _along(self, numbers: Indices, first: Indices, second: Indices) -> tuple[Indices, Reals]:
        """The corners of columns that are near to the planes and middles of their triangles."""
        axes, normals = self.axes[numbers], self.normals[numbers]
        n = np.take_along_axis(normals, axes, 1)
        c = np.take_along_axis(self.centres[numbers], axes, 1)
        across = n[:, 0] * (first - c[:, 0]) + n[:, 1] * (second - c[:, 1])
        middle = c[:, 2] - across / n[:, 2]
        lowest = np.ceil(middle - self.reach / np.abs(n[:, 2]))
        radii = self.radii[numbers] + self.reach
        found_numbers, found_places = [], []
        for level in range(self.depth):
            third = lowest + level
            flat = np.abs(across + n[:, 2] * (third - c[:, 2])) <= self.reach
            away = (first - c[:, 0]) ** 2 + (second - c[:, 1]) ** 2 + (third - c[:, 2]) ** 2
            near = np.flatnonzero(flat & (away <= radii**2))
            places = np.empty((len(near), 3))
            np.put_along_axis(
                places,
                axes[near],
                np.stack([first[near], second[near], third[near]], axis=1).astype(np.float64),
                1,
            )
            found_numbers.append(numbers[near])
            found_places.append(places)
        return np.concatenate(found_numbers), np.concatenate(found_places)

    def _distances(
        self, numbers: Indices, places: Reals, sizes: tuple[int, int, int]
    ) -> tuple[Indices, Reals, Indices]:
        """Keys, squared distances and triangles of the pairs that are near to each other."""
        squares = squared_distances(places, self.shapes[numbers])
        near = np.flatnonzero(squares <= self.reach**2)
        x, y, z = places[near].astype(np.int64).T
        return (x * sizes[1] + y) * sizes[2] + z, squares[near], numbers[near]
