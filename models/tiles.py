"""Computes large pictures and long sounds in overlapping tiles, blended where they meet."""

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


def scale_in_pieces(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    *,
    piece: int,
    overlap: int,
    scale: tuple[int, int],
) -> Tensor:
    """`function` of [B, C, T, ...] by pieces of T; it makes them scale[0] / scale[1] times as long.

    It may leave out or add something at the end. Where pieces overlap, the outer quarters, in
    which a network misses the surroundings, do not count, and the middle is blended.
    """
    length, (up, down) = samples.shape[2], scale
    begins, open_end = 0, function(samples.narrow(2, 0, min(piece, length)))
    done = []
    for place in _starts(length, piece, min(overlap, piece // 2))[1:]:
        start = -(-place // down) * down  # where something of the result begins
        part = function(samples.narrow(2, start, min(piece, length - start)))
        place = (start - begins) * up // down
        done.append(open_end.narrow(2, 0, place))
        before = open_end.narrow(2, place, open_end.shape[2] - place)
        shared, rest = part.tensor_split([before.shape[2]], dim=2)
        begins, open_end = start, torch.cat([_blended(before, shared), rest], dim=2)
    return torch.cat([*done, open_end], dim=2)


def _blended(before: Tensor, after: Tensor) -> Tensor:
    """From the one to the other along the third axis, within its middle half."""
    size = before.shape[2]
    places = (torch.arange(size) + 0.5) / max(1, size)
    weight = ((places - 0.25) * 2).clamp(0, 1).to(before)
    return torch.lerp(before, after, weight.reshape(-1, *(1,) * (before.ndim - 3)))
