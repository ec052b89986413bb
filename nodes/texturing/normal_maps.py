"""Normal maps: which way a dense surface looks, seen from the simple one."""

from __future__ import annotations

from typing import Final

import numpy as np

from nodes.geometry.arrays import Flags, Reals
from nodes.geometry.normals import unit
from nodes.texturing.dense import DenseSurface
from nodes.texturing.targets import Picture, Report, Target
from nodes.texturing.texels import Texels

_TEXELS: Final = 1 << 18  # at once


def bake_normals(
    target: Target,
    tangents: Reals,
    dense: DenseSurface,
    *,
    cage_distance: float,
    fronts_only: bool,
    report: Report,
) -> Picture:
    """A picture [size, size, 3] of normals n as (n + 1) / 2, in the space of `tangents` [N, 4].

    A ray goes inwards from `cage_distance` (in units of the vertices) above each texel, as far
    below it, and takes the smooth normal of the dense surface where it meets it; where it meets
    nothing, the normal is the simple surface's own. x goes along u, y up in the picture (+Y).
    """

    def sample(texels: Texels) -> tuple[Reals, Flags]:
        up = target.looks(texels)
        start = target.points(texels) + up * cage_distance
        hits = dense.seen(start, -up, 2 * cage_distance, fronts_only=fronts_only)
        looks = np.where((hits.faces >= 0)[:, None], dense.smooth_normals(hits), up)
        along = texels.mix(tangents, target.faces)
        local = in_tangent_space(looks, up, along)
        return (local + 1) / 2, np.ones(len(local), bool)

    picture = target.paint(3, _TEXELS, sample, report)
    return np.clip(picture, 0, 1)


def in_tangent_space(vectors: Reals, up: Reals, along: Reals) -> Reals:
    """Vectors [T, 3] by tangent, bitangent and normal: what a shader makes them of again.

    Tangents `along` [T, 4] are interpolated, so that they need not be at right angles to `up`.
    """
    tangent = unit(along[:, :3])
    bitangent = np.cross(up, tangent) * np.where(along[:, 3:] < 0, -1, 1)
    lean = (tangent * up).sum(axis=1)
    on_tangent, on_up = (vectors * tangent).sum(axis=1), (vectors * up).sum(axis=1)
    divisor = np.maximum(1 - lean**2, 1e-6)  # of the square of the bitangent's length, too
    x = (on_tangent - lean * on_up) / divisor
    y = (vectors * bitangent).sum(axis=1) / divisor
    z = (on_up - lean * on_tangent) / divisor
    return unit(np.stack([x, y, z], axis=1))
