"""Textures of colours in space: what a sparse grid has at each texel of an atlas."""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import numpy as np

from nodes.geometry.arrays import Flags, Indices, Reals
from nodes.texturing.dense import DenseSurface
from nodes.texturing.targets import Picture, Report, Target, as_indices, as_reals
from nodes.texturing.texels import Texels
from nodes.voxel_colors import SparseGrid

NEAR: Final = 0.05  # of the diagonal: how far the surface may be from the one it was made of
_REACH: Final = 4.0  # voxels: how far a texel takes the nearest one, where it is in none
_TEXELS: Final = 1 << 18  # at once


def bake_voxels(
    target: Target, grid: SparseGrid, reference: DenseSurface | None, report: Report
) -> Picture:
    """A picture [size, size, C] of the attributes of the voxels around each texel.

    With a reference, which is the surface that the voxels belong to, texels are moved onto it
    first, along the normal.
    """
    field = _Field(grid)

    def sample(texels: Texels) -> tuple[Reals, Flags]:
        points: Reals = target.points(texels)
        if reference is not None:
            looks = target.looks(texels)
            points = reference.nearby(points, looks, NEAR * reference.diagonal).points
        return field.at(points)

    return target.paint(field.attributes.shape[1], _TEXELS, sample, report)


class _Field:
    """A sparse grid that is asked for places in between."""

    def __init__(self, grid: SparseGrid) -> None:
        coordinates = as_indices(grid.coordinates)
        self.low = coordinates.min(axis=0) - 1  # room for places beside the outermost voxels
        self.sides = coordinates.max(axis=0) - self.low + 2
        keys = self._keys(coordinates)
        order = np.argsort(keys)
        self.keys = keys[order]
        self.coordinates = coordinates[order]
        self.attributes = as_reals(grid.attributes)[order]
        self.origin = np.array(grid.origin)
        self.voxel_size = grid.voxel_size
        self._tree: Any = None  # only made where it is needed

    def at(self, points: Reals) -> tuple[Reals, Flags]:
        """Attributes [T, C] at points [T, 3], and where there are any.

        Between the eight voxels around, by distance along the axes; those that are not there do
        not count. Where none is there, the nearest voxel within reach.
        """
        steps = (points - self.origin) / self.voxel_size - 0.5  # centres of voxels are at integers
        below = np.floor(steps).astype(np.int64)
        share = steps - below
        total = np.zeros((len(points), self.attributes.shape[1]))
        weight = np.zeros(len(points))
        for corner in product((0, 1), repeat=3):
            ways = np.where(np.array(corner) == 1, share, 1 - share).prod(axis=1)
            found, index = self._find(below + np.array(corner))
            ways = np.where(found, ways, 0)
            total += ways[:, None] * self.attributes[index]
            weight += ways
        known = weight > 1e-9
        values = total / np.where(known, weight, 1)[:, None]
        missing = np.flatnonzero(~known)
        if len(missing):
            near, index = self._nearest(steps[missing])
            values[missing[near]] = self.attributes[index[near]]
            known[missing[near]] = True
        return values, known

    def _keys(self, places: Indices) -> Indices:
        x, y, z = (places - self.low).T
        keys: Indices = (x * self.sides[1] + y) * self.sides[2] + z
        return keys

    def _find(self, places: Indices) -> tuple[Flags, Indices]:
        """Whether there are voxels [T, 3], and their numbers."""
        inside = ((places >= self.low) & (places < self.low + self.sides)).all(axis=1)
        keys = self._keys(np.where(inside[:, None], places, self.low))
        index = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return inside & (self.keys[index] == keys), index

    def _nearest(self, steps: Reals) -> tuple[Flags, Indices]:
        """Whether a voxel is within reach, and the number of the nearest."""
        if self._tree is None:
            from scipy.spatial import cKDTree  # takes long to import

            self._tree = cKDTree(self.coordinates)
        distances, index = self._tree.query(steps, distance_upper_bound=_REACH, workers=-1)
        return np.isfinite(distances), index
