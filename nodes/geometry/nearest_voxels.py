"""Which voxel of a sparse grid is nearest."""

from __future__ import annotations

import numpy as np

from nodes.geometry.arrays import Indices, Reals, Step

_AT_ONCE = 50_000  # points of a query between two steps


def nearest_voxels(points: Reals, coordinates: Indices, step: Step) -> Indices:
    """The number of the voxel with the centre nearest to each point [P].

    Points [P, 3] are in voxels: voxel (i, j, k) goes from its coordinates [N, 3] to those plus 1.
    Where a point is inside of a voxel, that is the one; others are looked up in a tree.
    """
    from scipy.spatial import cKDTree  # takes long to import

    lowest, highest = coordinates.min(axis=0), coordinates.max(axis=0)
    sizes = highest - lowest + 1
    keys = np.ravel_multi_index(tuple((coordinates - lowest).T), tuple(sizes))
    order = np.argsort(keys)
    cells = np.floor(points).astype(np.int64)
    own = np.ravel_multi_index(tuple((np.clip(cells, lowest, highest) - lowest).T), tuple(sizes))
    found: Indices = order[np.minimum(np.searchsorted(keys, own, sorter=order), len(keys) - 1)]
    outside = np.flatnonzero((coordinates[found] != cells).any(axis=1))
    tree = cKDTree(coordinates + 0.5) if len(outside) else None
    for start in range(0, len(outside), _AT_ONCE):
        step(start / len(outside))
        asked = outside[start : start + _AT_ONCE]
        if tree is not None:
            found[asked] = tree.query(points[asked])[1]
    return found
