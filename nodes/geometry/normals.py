"""Where surfaces look."""

from __future__ import annotations

import numpy as np

from nodes.geometry.arrays import Indices, Reals
from nodes.geometry.topology import face_pairs, groups, numbered_edges, same_places

_TINY = 1e-30
UP = np.array([0.0, 1.0, 0.0])  # of what has no direction


def unit(vectors: Reals) -> Reals:
    """Vectors [..., 3] with a length of one; those without length point up."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(lengths > _TINY, vectors / np.maximum(lengths, _TINY), UP)


def face_crosses(vertices: Reals, faces: Indices) -> Reals:
    """Normals of faces [M, 3], as long as twice their area."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return np.cross(b - a, c - a)


def corner_angles(vertices: Reals, faces: Indices) -> Reals:
    """The angles of triangles in radians [M, 3]; 0 where a side has no length."""
    corners = vertices[faces]  # m 3 xyz
    ahead = np.roll(corners, -1, axis=1) - corners
    behind = np.roll(corners, 1, axis=1) - corners
    sines = np.linalg.norm(np.cross(ahead, behind), axis=-1)
    angles: Reals = np.arctan2(sines, (ahead * behind).sum(axis=-1))
    return angles


def smooth_normals(
    vertices: Reals, faces: Indices, crease_degrees: float
) -> tuple[Reals, Indices, Indices]:
    """Normals of vertices, the faces, and of which vertex each vertex is a copy.

    A normal is the mean of those of the faces around, weighted by their angles there (G. Thürmer
    and C. A. Wüthrich, "Computing vertex normals from polygonal facets", 1998). Faces that meet at
    an edge by more than `crease_degrees` have normals of their own: a vertex on it is doubled.
    Vertices at the same place count as one, so that seams of a texture do not show.
    """
    places = same_places(vertices)
    crosses = face_crosses(vertices, faces)
    weighted = unit(crosses)[:, None] * corner_angles(vertices, faces)[..., None]
    if crease_degrees >= 180:
        normals = _sums(places[faces].ravel(), weighted.reshape(-1, 3), int(places.max()) + 1)
        return unit(normals)[places], faces, np.arange(len(vertices))
    count, fans = _fans(places[faces], crosses, crease_degrees)
    normals = unit(_sums(fans, weighted.reshape(-1, 3), count))
    keys, corners = np.unique(faces.ravel() * count + fans, return_inverse=True)
    return normals[keys % count], corners.reshape(-1, 3), keys // count


def _fans(faces: Indices, crosses: Reals, crease_degrees: float) -> tuple[int, Indices]:
    """How many normals there are, and that of each corner: of faces that meet smoothly."""
    one, other = face_pairs(numbered_edges(faces))
    lengths = np.linalg.norm(crosses, axis=1)
    first, second = one // 3, other // 3
    cosines = (crosses[first] * crosses[second]).sum(axis=1)
    scale = lengths[first] * lengths[second]
    smooth = cosines >= np.cos(np.radians(crease_degrees)) * scale - 1e-9 * scale
    one, other = one[smooth], other[smooth]
    ahead, beyond = _next(one), _next(other)
    corners = faces.ravel()
    along = corners[one] == corners[other]  # both go along the edge in the same direction
    count, fans = groups(
        np.r_[one, ahead],
        np.r_[np.where(along, other, beyond), np.where(along, beyond, other)],
        faces.size,
    )
    return count, fans


def _next(corners: Indices) -> Indices:
    """The corner after each in its triangle."""
    return np.where(corners % 3 == 2, corners - 2, corners + 1)


def _sums(numbers: Indices, vectors: Reals, count: int) -> Reals:
    """The sum of the vectors [K, 3] of each number."""
    return np.stack(
        [np.bincount(numbers, vectors[:, axis], minlength=count) for axis in range(3)], axis=1
    )
