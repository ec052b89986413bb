"""Surfaces whose sizes are known, as arrays: vertices [N, 3] and faces [M, 3]."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

import numpy as np
import torch

from nodes.geometry.arrays import Indices, Reals
from nodes.shapes import Mesh

Solid: TypeAlias = tuple[Reals, Indices]


def cube(side: float = 2.0) -> Solid:
    """Eight vertices, twelve faces, its middle at the origin."""
    corners = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [half for a, b, c, d in quads for half in ((a, b, c), (a, c, d))]
    return corners * side / 2, np.array(faces)


def sphere(levels: int = 3, radius: float = 1.0) -> Solid:
    """20 * 4^levels faces: an icosahedron, its triangles divided, vertices moved outwards."""
    golden = (1 + 5**0.5) / 2
    ring = [(0, s, t * golden) for s in (-1, 1) for t in (-1, 1)]
    points = np.array([np.roll(corner, shift) for shift in range(3) for corner in ring], float)
    faces = np.array(
        [
            (i, j, k)
            for i in range(12)
            for j in range(12)
            for k in range(12)
            if i < j
            and i < k
            and j != k
            and all(
                abs(np.linalg.norm(points[a] - points[b]) - 2) < 0.1
                for a, b in ((i, j), (j, k), (k, i))
            )
            and np.linalg.det(points[[i, j, k]]) > 0
        ]
    )
    for _ in range(levels):
        points, faces = divided(points, faces)
    return points / np.linalg.norm(points, axis=1, keepdims=True) * radius, faces


def divided(points: Reals, faces: Indices) -> Solid:
    """Four triangles of each."""
    ends = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges, numbers = np.unique(ends, axis=0, return_inverse=True)
    ab, bc, ca = numbers.reshape(3, -1) + len(points)
    a, b, c = faces.T
    quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    middles = points[edges].mean(axis=1)
    return np.concatenate([points, middles]), np.concatenate([np.stack(q, 1) for q in quarters])


def torus(around: int = 48, across: int = 24, radius: float = 1.0, tube: float = 0.35) -> Solid:
    """A ring about the z axis."""
    u, v = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    a, b = u * 2 * np.pi / around, v * 2 * np.pi / across
    out = radius + tube * np.cos(b)
    points = np.stack([out * np.cos(a), out * np.sin(a), tube * np.sin(b)], axis=-1)
    return points.reshape(-1, 3), _tiles(around, across, wrapped=True)


def sheet(width: int = 16, height: int = 16) -> Solid:
    """An open square of 2 * width * height triangles from (-1, -1, 0) to (1, 1, 0)."""
    u, v = np.meshgrid(np.linspace(-1, 1, width + 1), np.linspace(-1, 1, height + 1), indexing="ij")
    points = np.stack([u, v, np.zeros_like(u)], axis=-1).reshape(-1, 3)
    return points, _tiles(width + 1, height + 1, wrapped=False)


def _tiles(rows: int, columns: int, *, wrapped: bool) -> Indices:
    numbers = np.arange(rows * columns).reshape(rows, columns)
    ahead, beside = np.roll(numbers, -1, 0), np.roll(numbers, -1, 1)
    both = np.roll(ahead, -1, 1)
    quads = np.stack([numbers, ahead, both, beside], axis=-1)
    quads = quads if wrapped else quads[:-1, :-1]
    quads = quads.reshape(-1, 4)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def both(one: Solid, other: Solid) -> Solid:
    """Two surfaces as one."""
    return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1] + len(one[0])])


def moved(solid: Solid, x: float) -> Solid:
    """Along the first axis."""
    return solid[0] + np.array([x, 0, 0]), solid[1]


def as_mesh(*solids: Solid) -> Mesh:
    """A MESH with a surface for each."""
    return Mesh(
        [torch.from_numpy(points).float() for points, _ in solids],
        [torch.from_numpy(faces) for _, faces in solids],
    )


def as_solid(mesh: Mesh, index: int = 0) -> Solid:
    """A surface of a MESH."""
    return mesh.vertices[index].double().numpy(), mesh.faces[index].numpy()


def volume(solid: Solid) -> float:
    """Of what a closed surface holds; negative where it looks inwards."""
    a, b, c = (solid[0][solid[1][:, i]] for i in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def area(solid: Solid) -> float:
    """Of all triangles."""
    a, b, c = (solid[0][solid[1][:, i]] for i in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def is_closed(faces: Indices) -> bool:
    """Whether faces stand on either side of every edge, as many one way as the other."""
    edges = Counter(
        zip(faces.ravel().tolist(), np.roll(faces, -1, 1).ravel().tolist(), strict=True)
    )
    return all(edges[b, a] == count for (a, b), count in edges.items())


def is_manifold(faces: Indices) -> bool:
    """Whether it is closed, and no edge has more than two faces, no vertex more than one fan."""
    edges = Counter(
        zip(faces.ravel().tolist(), np.roll(faces, -1, 1).ravel().tolist(), strict=True)
    )
    if any(count != 1 or edges[b, a] != 1 for (a, b), count in edges.items()):
        return False
    following: dict[int, dict[int, int]] = {}
    for face in faces.tolist():
        for i in range(3):
            following.setdefault(face[i], {})[face[(i + 1) % 3]] = face[(i + 2) % 3]
    return all(_is_ring(links) for links in following.values())


def _is_ring(links: dict[int, int]) -> bool:
    start = place = next(iter(links))
    for _ in range(len(links) - 1):
        place = links[place]
        if place == start:
            return False
    return links[place] == start


def euler_characteristic(faces: Indices) -> int:
    """Vertices less edges plus faces: 2 for a sphere, 0 for a torus."""
    edges = {
        tuple(sorted(edge)) for f in faces.tolist() for edge in zip(f, f[1:] + f[:1], strict=True)
    }
    return len(np.unique(faces)) - len(edges) + len(faces)
