"""Computes large pictures in overlapping tiles, blended where they meet."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def scale_in_tiles(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    *,
    tile: tuple[int, ...],
    overlap: int,
    scale: tuple[int, int],
) -> Tensor:
    """`function` of [B, C, H, W] by tiles; it makes sides scale[0] / scale[1] times as long.

    Weights fall linearly over the overlap, so that a smooth function has no seams.
    """
    results = [_one(item[None], function, tile, overlap, scale) for item in samples]
    return torch.cat(results)


def _one(
    sample: Tensor,
    function: Callable[[Tensor], Tensor],
    tile: tuple[int, ...],
    overlap: int,
    scale: tuple[int, int],
) -> Tensor:
    up, down = scale
    height, width = sample.shape[-2:]
    rows, columns = _starts(height, tile[0], overlap), _starts(width, tile[1], overlap)
    if len(rows) == len(columns) == 1:
        return function(sample)
    total: Tensor | None = None
    weights = torch.zeros(1, 1, height * up // down, width * up // down)
    for top in rows:
        for left in columns:
            part = function(sample[..., top : top + tile[0], left : left + tile[1]]).cpu()
            if total is None:
                total = part.new_zeros(1, part.shape[1], *weights.shape[-2:])
            weight = _ramp(part.shape[-2], overlap * up // down)[:, None] * _ramp(
                part.shape[-1], overlap * up // down
            )
            y, x = top * up // down, left * up // down
            place = (..., slice(y, y + part.shape[-2]), slice(x, x + part.shape[-1]))
            total[place] += part * weight
            weights[place] += weight
    assert total is not None
    return total / weights


def _starts(side: int, tile: int, overlap: int) -> list[int]:
    if side <= tile:
        return [0]
    step = max(1, tile - overlap)
    return [*range(0, side - tile, step), side - tile]


def _ramp(size: int, overlap: int) -> Tensor:
    """Weights of a tile: 1 inside, falling towards both ends, and nowhere 0."""
    distance = torch.arange(size).minimum(torch.arange(size).flip(0)) + 1
    return (distance / (overlap + 1)).clamp(max=1.0)


def count_tiles(size: Sequence[int], tile: Sequence[int], overlap: int) -> int:
    """How many tiles `scale_in_tiles` makes of one picture of that height and width."""
    return math.prod(
        len(_starts(side, edge, overlap)) for side, edge in zip(size, tile, strict=True)
    )
