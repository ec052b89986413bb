"""Ambient occlusion: how much of the sky above each texel a surface hides."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nodes.geometry.arrays import Flags, Indices, Reals
from nodes.texturing.dense import DenseSurface
from nodes.texturing.frames import across
from nodes.texturing.targets import Picture, Report, Target
from nodes.texturing.texels import Texels

NEAR: Final = 0.05  # of the diagonal: how far the simple surface may be from the dense one
_RAYS: Final = 1 << 20  # cast at once
_PATTERNS: Final = 256  # of directions, so that neighbours err in different ways
_GOLDEN: Final = np.array([0.7548776662466927, 0.5698402909980532])  # 1/g, 1/g^2 of g^3 = g + 1


def bake_occlusion(
    target: Target,
    dense: DenseSurface,
    *,
    samples: int,
    max_distance: float,
    strength: float,
    bias: float,
    report: Report,
) -> Picture:
    """A picture [size, size, 1]: 1 - strength * the share of rays that meet the dense surface.

    Rays start `bias` above the dense surface, at the place above or below the texel, and end
    after `max_distance`, both in units of the vertices. They are dense around the normal as the
    cosine is (S. Zhukov et al., "An ambient light illumination model", 1998), so that their share
    is that of the light of an even sky.
    """
    local = directions(samples)
    far = np.full(_RAYS, max_distance, np.float32)

    def sample(texels: Texels) -> tuple[Reals, Flags]:
        looks = target.looks(texels)
        near = dense.nearby(target.points(texels), looks, NEAR * dense.diagonal)
        starts = (near.points + near.normals * bias).astype(np.float32)
        ways = _turned(local[_pattern_of(texels)], near.normals).reshape(-1, 3)
        met = dense.scene.occluded(np.repeat(starts, samples, axis=0), ways, far[: len(ways)])
        hidden = met.reshape(-1, samples).mean(axis=1, keepdims=True)
        return np.clip(1 - strength * hidden, 0, 1), np.ones(len(starts), bool)

    return target.paint(1, max(_RAYS // samples, 1), sample, report)


def directions(samples: int) -> NDArray[np.float32]:
    """Patterns of directions [P, samples, 3] around +z, as dense as the cosine.

    The R2 sequence (M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018),
    shifted for each pattern (R. Cranley, T. Patterson, 1976).
    """
    points = np.arange(1, samples + 1)[:, None] * _GOLDEN
    shifts = np.random.default_rng(0).random((_PATTERNS, 1, 2))
    height, turn = np.moveaxis((points + shifts) % 1, -1, 0)
    out, angle = np.sqrt(height), 2 * np.pi * turn
    ways = np.stack([out * np.cos(angle), out * np.sin(angle), np.sqrt(1 - height)], axis=-1)
    return ways.astype(np.float32)


def _pattern_of(texels: Texels) -> Indices:
    """Which pattern a texel takes: as good as random, and always the same."""
    mixed = (texels.places.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    return (mixed % np.uint64(_PATTERNS)).astype(np.int64)


def _turned(local: NDArray[np.float32], up: Reals) -> NDArray[np.float32]:
    """Directions [T, S, 3] around +z turned to be around `up` [T, 3]."""
    right = across(up)
    axes = [axis.astype(np.float32) for axis in (right, np.cross(up, right), up)]
    turned = local[..., 0, None] * axes[0][:, None]
    for i in (1, 2):
        turned += local[..., i, None] * axes[i][:, None]
    return turned
