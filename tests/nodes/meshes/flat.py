"""A square with an atlas, and what lies over it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from nodes.geometry.arrays import Indices, Reals
from nodes.shapes import Mesh, Surface, mesh_of
from tests.nodes.meshes.solids import Solid, sheet


def surface(solid: Solid) -> Surface:
    """Vertices and faces alone."""
    points, faces = solid
    return Surface(vertices=torch.from_numpy(points).float(), faces=torch.from_numpy(faces))


def square(divisions: int = 1) -> Surface:
    """From (-1, -1, 0) to (1, 1, 0), seen in the picture as from above: x right, y up."""
    points, faces = sheet(divisions, divisions)
    x, y = points[:, 0], points[:, 1]
    uvs = np.stack([(x + 1) / 2, (1 - y) / 2], axis=1)
    return Surface(
        vertices=torch.from_numpy(points).float(),
        faces=torch.from_numpy(faces),
        uvs=torch.from_numpy(uvs).float(),
    )


def hilly(height: Callable[[Reals, Reals], Reals], divisions: int = 128) -> Mesh:
    """The square of z = height(x, y)."""
    points, faces = sheet(divisions, divisions)
    points[:, 2] = height(points[:, 0], points[:, 1])
    return mesh_of([surface((points, faces))])


def corner() -> Solid:
    """A floor, and a wall that stands on it at x = 0, each of 2 x 2."""
    points = np.array(
        [(0, -1, 0), (2, -1, 0), (2, 1, 0), (0, 1, 0), (0, -1, 2), (0, 1, 2)], dtype=float
    )
    return points, np.array([(0, 1, 2), (0, 2, 3), (0, 3, 5), (0, 5, 4)])


def places(size: int) -> tuple[Reals, Reals]:
    """x and y of the centres of texels [size, size] on the square."""
    steps = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(steps, -steps)
    return x, y


def twice_covered(uvs: Reals, faces: Indices, size: int) -> float:
    """The share of texels that more than one face covers."""
    from nodes.texturing.texels import covered

    times = np.zeros(size * size, int)
    for _, texels in covered(uvs, faces, size):
        np.add.at(times, texels, 1)
    return float((times > 1).sum() / (times > 0).sum())
