"""Quadric error metrics: sums of squared distances to planes and lines.

M. Garland and P. Heckbert, "Surface simplification using quadric error metrics", 1997. A quadric is
x'Ax + 2b'x + c with a symmetric A; here many at once, as rows of numbers [10, N]: xx, xy, xz, yy,
yz, zz of A, then b, then c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from nodes.geometry.arrays import Indices, Reals, dots
from nodes.geometry.normals import face_crosses, smooth_normals, unit
from nodes.geometry.topology import NumberedEdges

_BORDER_WEIGHT: Final = 100.0  # of a border against the faces beside it
_PAIRS: Final = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
_WELL_CONDITIONED: Final = 1e-9  # of the cube of the trace: planes that meet in a point
_FARTHEST: Final = 1.0  # lengths of the edge, from its middle: farther away lie only spikes


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """What counts beside the planes of faces."""

    lines: float = 0.0  # of lines along normals, which keep vertices evenly spread
    features: float = 0.0  # of sharp edges
    feature_degrees: float = 30.0  # between the normals of two faces whose edge is sharp


def vertex_quadrics(
    vertices: Reals, faces: Indices, edges: NumberedEdges, weights: Weights
) -> Reals:
    """The quadric of each vertex [10, N]: of its faces by their area, borders, sharp edges, lines.

    Lines are those of H.-T. D. Liu, M. Rahimzadeh and V. Zordan, "Controlling quadric error
    simplification with line quadrics", 2025: through each vertex, along its normal.
    """
    crosses = face_crosses(vertices, faces)
    areas = np.linalg.norm(crosses, axis=1) / 2
    normals = unit(crosses)
    total = np.zeros((10, len(vertices)))
    planes = _planes(normals, vertices[faces[:, 0]], areas / 3)
    for corner in range(3):
        _add(total, faces[:, corner], planes)
    _add_edges(total, vertices, faces, edges, normals, weights)
    if weights.lines > 0:
        share: Reals = np.bincount(
            faces.ravel(), np.repeat(areas / 3, 3), minlength=len(vertices)
        ).astype(np.float64)
        directions, _, _ = smooth_normals(vertices, faces, 180)
        total += _lines(directions, vertices, share * weights.lines)
    return total


def _planes(normals: Reals, points: Reals, weights: Reals) -> Reals:
    """Squared distances to planes with these normals through these points."""
    offsets = -dots(normals, points)
    rows = [normals[:, i] * normals[:, j] for i, j in _PAIRS]
    rows += [normals[:, i] * offsets for i in range(3)]
    return np.stack([*rows, offsets**2]) * weights


def _lines(directions: Reals, points: Reals, weights: Reals) -> Reals:
    """Squared distances to lines in these directions through these points."""
    rows = [float(i == j) - directions[:, i] * directions[:, j] for i, j in _PAIRS]
    b = -(points - directions * dots(directions, points)[:, None])
    return np.stack([*rows, *b.T, -dots(b, points)]) * weights


def _add(total: Reals, numbers: Indices, quadrics: Reals) -> None:
    """Add quadrics to those of vertices."""
    for row, values in zip(total, quadrics, strict=True):
        row += np.bincount(numbers, values, minlength=total.shape[1])


def _add_edges(
    total: Reals,
    vertices: Reals,
    faces: Indices,
    edges: NumberedEdges,
    normals: Reals,
    weights: Weights,
) -> None:
    """Planes through borders and sharp edges, upright on the faces beside them."""
    alone = edges.counts[edges.of_faces] == 1
    weight = np.where(alone, _BORDER_WEIGHT, 0.0)
    if weights.features > 0:
        sums: Reals = np.stack(
            [np.bincount(edges.of_faces.ravel(), np.repeat(normals[:, i], 3)) for i in range(3)],
            axis=1,
        )
        cosine = np.cos(np.radians(weights.feature_degrees))
        # The length of the sum of two normals at an angle is 2 cos(angle / 2).
        sharp = (edges.counts == 2) & (dots(sums, sums) < 2 + 2 * cosine - 1e-9)
        weight = np.where(sharp[edges.of_faces], weights.features, weight)
    for corner in range(3):
        of = np.flatnonzero(weight[:, corner])
        start, end = faces[of, corner], faces[of, (corner + 1) % 3]
        along = vertices[end] - vertices[start]
        quadrics = _planes(
            unit(np.cross(along, normals[of])),
            vertices[start],
            weight[of, corner] * dots(along, along),
        )
        _add(total, start, quadrics)
        _add(total, end, quadrics)


def on_segments(quadrics: Reals, starts: Reals, ends: Reals) -> tuple[Reals, Reals, Reals]:
    """Quadrics along segments [E, 3], as x + y t + z t² for t in 0..1: x, y and z [E]."""
    xx, xy, xz, yy, yz, zz, bx, by, bz, c = quadrics
    x, y, z = starts.T
    u, v, w = (ends - starts).T
    gx, gy, gz = xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z
    constant = x * (gx + 2 * bx) + y * (gy + 2 * by) + z * (gz + 2 * bz) + c
    linear = 2 * (u * (gx + bx) + v * (gy + by) + w * (gz + bz))
    square = u * (xx * u + 2 * (xy * v + xz * w)) + v * (yy * v + 2 * yz * w) + zz * w * w
    return constant, linear, square


def least_on_segments(linear: Reals, square: Reals, scale: Reals) -> Reals:
    """Where a quadric along a segment is least: t in 0..1, and 0.5 where it is the same all along.

    `scale` [E] is how large the square part may be.
    """
    curved = square > 1e-9 * scale
    return np.where(curved, np.clip(-linear / np.where(curved, 2 * square, 1.0), 0, 1), 0.5)


def least_anywhere(quadrics: Reals, starts: Reals, ends: Reals, otherwise: Reals) -> Reals:
    """Where quadrics are least [E, 3]; `otherwise` where that is no point, or a far one."""
    xx, xy, xz, yy, yz, zz, bx, by, bz, _ = quadrics
    # The adjugate of A over its determinant.
    ax, ay, az = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    determinant = xx * ax + xy * ay + xz * az
    solvable = determinant > _WELL_CONDITIONED * (xx + yy + zz) ** 3
    scale = -1 / np.where(solvable, determinant, 1.0)
    by_y, by_z = xx * zz - xz * xz, xx * yy - xy * xy
    cross = xy * xz - xx * yz
    found = np.stack(
        [
            scale * (ax * bx + ay * by + az * bz),
            scale * (ay * bx + by_y * by + cross * bz),
            scale * (az * bx + cross * by + by_z * bz),
        ],
        axis=1,
    )
    away, along = found - (starts + ends) / 2, ends - starts
    near = dots(away, away) <= _FARTHEST**2 * dots(along, along)
    return np.where((solvable & near)[:, None], found, otherwise)


def errors(quadrics: Reals, points: Reals) -> Reals:
    """Quadrics [10, E] at points [E, 3]."""
    constant, _, _ = on_segments(quadrics, points, points)
    return constant
