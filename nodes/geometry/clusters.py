"""Vertices that are near to each other as one."""

from __future__ import annotations

import numpy as np

from nodes.geometry.arrays import Indices, Reals
from nodes.geometry.topology import same_places


def clustered(vertices: Reals, most: int) -> Indices:
    """For each vertex the number of one that stands for it, of at most `most`.

    J. Rossignac and P. Borrel, "Multi-resolution 3D approximations for rendering complex scenes",
    1993: one for each cell of a grid, whose cells are doubled until they are few enough.
    """
    size = float(np.ptp(vertices, axis=0).max()) / max(most, 1) ** 0.5 / 4 or 1.0
    while True:
        numbers = same_places(np.floor((vertices - vertices.min(axis=0)) / size))
        count = int(numbers.max()) + 1
        if count <= max(most, 1):
            break
        size *= 2
    first = np.zeros(count, np.int64)
    first[numbers[::-1]] = np.arange(len(vertices))[::-1]
    return first[numbers]
