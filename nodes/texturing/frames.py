"""Tangents of surfaces: with the normals, the space in which normal maps are."""

from __future__ import annotations

import numpy as np

from nodes.geometry.arrays import Indices, Reals
from nodes.geometry.normals import corner_angles

_NOWHERE = np.zeros(3)


def unit_or(vectors: Reals, otherwise: Reals) -> Reals:
    """Vectors [..., 3] with length one; those of no length become the other one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(lengths > 1e-20, vectors / np.maximum(lengths, 1e-20), otherwise)


def tangents(vertices: Reals, faces: Indices, uvs: Reals, normals: Reals) -> Reals:
    """Tangents of vertices [N, 4] as glTF has them; the last number is the sign of the bitangent.

    Bitangent = sign * normal x tangent, which goes up in pictures, against v. As in MikkTSpace
    (M. Mikkelsen, "Simulation of wrinkled surfaces revisited", 2008), the directions of u on the
    faces around are laid into the plane of the vertex, brought to length one and weighted by the
    angles of the faces there. Vertices are not split: where faces around one disagree on the sign,
    as where an atlas is mirrored, most of the angles decide.
    """
    along, sign = _directions_of_u(vertices, faces, uvs)
    at_corners = normals[faces]
    laid = along[:, None] - at_corners * (at_corners * along[:, None]).sum(axis=-1, keepdims=True)
    signs = np.broadcast_to(sign[:, None, None], (len(faces), 3, 1))
    angles = corner_angles(vertices, faces)[..., None]
    weighted = angles * np.concatenate([unit_or(laid, _NOWHERE), signs], axis=-1)
    corners = faces.ravel()
    total: Reals = np.stack(
        [np.bincount(corners, weighted[..., i].ravel(), len(vertices)) for i in range(4)], axis=1
    )
    handed = np.where(total[:, 3:] < 0, -1.0, 1.0)
    return np.concatenate([unit_or(total[:, :3], across(normals)), handed], axis=1)


def _directions_of_u(vertices: Reals, faces: Indices, uvs: Reals) -> tuple[Reals, Reals]:
    """Where u grows on each face [M, 3], and the sign of its bitangent [M]; 0 where it has none."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    (u1, v1), (u2, v2) = ((uvs[faces[:, i]] - uvs[faces[:, 0]]).T for i in (1, 2))
    area = u1 * v2 - u2 * v1
    along = (v2[:, None] * (b - a) - v1[:, None] * (c - a)) * np.sign(area)[:, None]
    # v grows downwards: triangles that are counterclockwise in the picture have negative areas.
    return unit_or(along, _NOWHERE), -np.sign(area)


def across(directions: Reals) -> Reals:
    """Some direction across each [N, 3], of length one."""
    least: Reals = np.eye(3)[np.abs(directions).argmin(axis=1)]
    return unit_or(np.cross(directions, least), np.eye(3)[0])
