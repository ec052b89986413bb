"""Surfaces of grids of densities: vertices [N, 3] in -1..1 and triangles [M, 3] that name them.

Triangles go counterclockwise seen from outside, where densities are low. Beyond the grid there is
nothing, so that every surface is closed.
"""

from __future__ import annotations

from itertools import product
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Surface: TypeAlias = tuple[Tensor, Tensor]
_Points: TypeAlias = NDArray[np.float32]
_Indices: TypeAlias = NDArray[np.int64]

_CORNERS = np.array(list(product((0, 1), repeat=3)))  # of a cube, as offsets along x, y, z
# The edges of a cube: pairs of corners that differ along one axis.
_EDGES = [
    (a, b) for a in range(8) for b in range(a + 1, 8) if abs(_CORNERS[a] - _CORNERS[b]).sum() == 1
]


def surface_net(grid: Tensor, threshold: float) -> Surface:
    """A smooth surface where densities [X, Y, Z] pass the threshold.

    S. F. F. Gibson, "Constrained elastic surface nets", 1998: a vertex in each cube of eight
    densities that the surface goes through, in the middle of where it cuts the cube's edges.
    """
    values = np.pad(grid.detach().float().cpu().numpy(), 1, constant_values=threshold - 1.0)
    inside = np.asarray(values > threshold)
    corners = [_shifted(inside, corner) for corner in _CORNERS]
    cut = np.logical_or.reduce(corners) & ~np.logical_and.reduce(corners)
    numbers = np.full(cut.shape, -1, np.int64)
    numbers[cut] = np.arange(cut.sum())
    points = _net_points(values, np.argwhere(cut), threshold)
    quads = [_net_quads(inside, numbers, axis) for axis in range(3)]
    return _surface(points - 1, np.concatenate(quads), max(grid.shape) - 1)


def _shifted(values: NDArray[np.bool_], corner: _Indices) -> NDArray[np.bool_]:
    """The values at one corner of every cube."""
    x, y, z = (slice(c, size - 1 + c) for c, size in zip(corner, values.shape, strict=True))
    return values[x, y, z]


def _net_points(values: _Points, cubes: _Indices, threshold: float) -> _Points:
    """The vertex of each of these cubes, in steps of the grid."""
    at = [values[tuple((cubes + corner).T)] for corner in _CORNERS]
    total = np.zeros((len(cubes), 3), np.float32)
    crossings = np.zeros((len(cubes), 1), np.float32)
    for a, b in _EDGES:
        crosses = (at[a] > threshold) != (at[b] > threshold)
        difference = np.where(crosses, at[b] - at[a], 1.0)
        share = np.where(crosses, (threshold - at[a]) / difference, 0.0)[:, None]
        place = _CORNERS[a] + share * (_CORNERS[b] - _CORNERS[a])
        total += np.where(crosses[:, None], place, 0.0).astype(np.float32)
        crossings += crosses[:, None]
    return (cubes + total / crossings).astype(np.float32)


def _net_quads(inside: NDArray[np.bool_], numbers: _Indices, axis: int) -> _Indices:
    """A quad around each edge along an axis on which the surface is passed."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    ahead = np.roll(inside, -1, axis=axis)
    crosses = inside != ahead
    crosses[tuple(slice(-1, None) if i == axis else slice(None) for i in range(3))] = False
    edges = np.argwhere(crosses)
    step_one, step_two = np.eye(3, dtype=np.int64)[first], np.eye(3, dtype=np.int64)[second]
    around = (-step_one - step_two, -step_two, np.zeros(3, np.int64), -step_one)
    quads = np.stack([numbers[tuple((edges + offset).T)] for offset in around], axis=1)
    leaves = inside[tuple(edges.T)]  # the surface looks along the axis
    return np.where(leaves[:, None], quads, quads[:, ::-1])


def blocks(grid: Tensor, threshold: float) -> Surface:
    """The sides between cubes [X, Y, Z] whose density is above the threshold and the others."""
    inside = np.pad((grid.detach().float() > threshold).cpu().numpy(), 1)
    corners: list[_Indices] = []
    for axis in range(3):
        first, second = np.eye(3, dtype=np.int64)[[(axis + 1) % 3, (axis + 2) % 3]]
        ring = (np.zeros(3, np.int64), first, first + second, second)
        for ahead in (True, False):
            neighbour = np.roll(inside, -1 if ahead else 1, axis=axis)
            cubes = np.argwhere(inside & ~neighbour)
            cubes[:, axis] += int(ahead)
            sides = np.stack([cubes + offset for offset in ring], axis=1)  # n 4 3
            corners.append(sides if ahead else sides[:, ::-1])
    all_sides = np.concatenate(corners)
    points, numbers = np.unique(all_sides.reshape(-1, 3), axis=0, return_inverse=True)
    quads = numbers.reshape(-1, 4)
    return _surface(points.astype(np.float32) - 1, quads, max(grid.shape))


def _surface(points: _Points, quads: _Indices, length: int) -> Surface:
    """Triangles of quads, with the longest side of the grid from -1 to 1."""
    scaled = points / max(length, 1) * 2 - 1
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return torch.from_numpy(scaled.astype(np.float32)), torch.from_numpy(faces)
