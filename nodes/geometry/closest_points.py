"""Where triangles are nearest to points."""

from __future__ import annotations

import numpy as np

from nodes.geometry.arrays import Indices, Reals, dots


def closest_points(points: Reals, corners: Reals) -> tuple[Reals, Reals]:
    """The squared distance [K] of each point [K, 3] to its triangle [K, 3, 3], and where it is.

    The place is given as weights of the three corners [K, 3], which are exactly 0 at the border.
    """
    origin = corners[:, 0]
    ab, ac, ap = corners[:, 1] - origin, corners[:, 2] - origin, points - origin
    bb, bc, cc = dots(ab, ab), dots(ab, ac), dots(ac, ac)
    pb, pc, pp = dots(ap, ab), dots(ap, ac), dots(ap, ap)

    def distance(v: Reals, w: Reals) -> Reals:
        return pp - 2 * (v * pb + w * pc) + v * v * bb + 2 * v * w * bc + w * w * cc

    determinant = bb * cc - bc * bc
    scale = 1 / np.where(determinant > 1e-24, determinant, 1.0)
    v, w = (cc * pb - bc * pc) * scale, (bb * pc - bc * pb) * scale
    inside = (determinant > 1e-24) & (v > 0) & (w > 0) & (v + w < 1)
    zero = np.zeros_like(v)
    on_ab, on_ac = _share(pb, bb), _share(pc, cc)
    on_bc = _share(bb - bc + pc - pb, bb - 2 * bc + cc)
    found = [distance(on_ab, zero), distance(zero, on_ac), distance(1 - on_bc, on_bc)]
    side = np.where(found[0] <= found[1], 0, 1)
    side = np.where(found[2] < np.minimum(found[0], found[1]), 2, side)
    weights = np.stack(
        [
            np.where(inside, 1 - v - w, np.choose(side, [1 - on_ab, 1 - on_ac, zero])),
            np.where(inside, v, np.choose(side, [on_ab, zero, 1 - on_bc])),
            np.where(inside, w, np.choose(side, [zero, on_ac, on_bc])),
        ],
        axis=1,
    )
    away = np.where(inside, distance(v, w), np.minimum(np.minimum(found[0], found[1]), found[2]))
    return np.maximum(away, 0), weights


def squared_distances(points: Reals, shapes: Reals) -> Reals:
    """As `closest_points` without the place [K], of triangles that are given as `shapes_of`."""
    ap, ab, ac = points - shapes[:, :3], shapes[:, 3:6], shapes[:, 6:9]
    bb, bc, cc, scale = shapes[:, 9], shapes[:, 10], shapes[:, 11], shapes[:, 12]
    pb, pc, pp = dots(ap, ab), dots(ap, ac), dots(ap, ap)
    v, w = (cc * pb - bc * pc) * scale, (bb * pc - bc * pb) * scale
    inside = (v > 0) & (w > 0) & (v + w < 1)
    t = _share(pb, bb)
    least = t * (t * bb - 2 * pb)
    t = _share(pc, cc)
    least = np.minimum(least, t * (t * cc - 2 * pc))
    side = bb - 2 * bc + cc
    t = _share(bb - bc + pc - pb, side)
    least = np.minimum(least, bb - 2 * pb + t * (t * side - 2 * (bb - bc + pc - pb)))
    least = np.where(inside, -v * pb - w * pc, least)
    return np.maximum(pp + least, 0)


def shapes_of(corners: Reals) -> Reals:
    """Triangles [M, 3, 3] as their first corner, two sides, the products of these, and the
    reciprocal of their determinant [M, 13]."""
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    bb, bc, cc = dots(ab, ab), dots(ab, ac), dots(ac, ac)
    determinant = bb * cc - bc * bc
    scale = np.where(determinant > 1e-24, 1 / np.maximum(determinant, 1e-24), 0.0)
    return np.concatenate([corners[:, 0], ab, ac, np.stack([bb, bc, cc, scale], axis=1)], axis=1)


def _share(product: Reals, square: Reals) -> Reals:
    """Where along a side a point is nearest: 0..1."""
    return np.clip(product / np.where(square > 0, square, 1.0), 0, 1)


def at_weights(corners: Reals, weights: Reals) -> Reals:
    """The places [K, C] with weights [K, 3] of corners [K, 3, C]."""
    places: Reals = np.einsum("kij,ki->kj", corners, weights)
    return places


def nearer_of(points: Reals, corners: Reals, one: Indices, other: Indices) -> tuple[Reals, Indices]:
    """Which of two triangles [K] of all `corners` [M, 3, 3] is nearer, and how far it is."""
    first, _ = closest_points(points, corners[one])
    second, _ = closest_points(points, corners[other])
    return np.sqrt(np.minimum(first, second)), np.where(second < first, other, one)
