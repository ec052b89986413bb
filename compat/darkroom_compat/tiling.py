"""Work on a tensor in overlapping tiles that are blended where they meet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

# How a size or a position grows from input to output: a factor, or a function.
Growth: TypeAlias = float | Callable[[float], float]


class Bar(Protocol):
    """Where finished tiles are counted."""

    def update(self, value: int, /) -> None: ...


def steps(width: int, height: int, tile_x: int, tile_y: int, overlap: int) -> float:
    """How many tiles cover that size."""
    return len(_starts(height, tile_y, overlap)) * len(_starts(width, tile_x, overlap))


def _starts(size: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one axis; the last one ends where the axis ends."""
    if size <= tile:
        return [0]
    step = max(1, tile - overlap)
    return [min(at, size - tile) for at in range(0, size - overlap, step)]


def _per_axis(growth: Growth | Sequence[Growth], axes: int) -> list[Growth]:
    return [growth] * axes if callable(growth) or isinstance(growth, float | int) else list(growth)


def _grown(growth: Growth, value: float, *, shrink: bool) -> int:
    if callable(growth):
        return round(growth(value))
    return round(value / growth if shrink else value * growth)


@torch.inference_mode()
def tiled_scale(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    *,
    tile: Sequence[int],
    overlap: int | Sequence[int],
    scale: Any,
    channels: int,
    device: str | torch.device,
    downscale: bool,
    positions: Any,
    bar: Bar | None,
) -> Tensor:
    """`function` of [B, C, *axes], tile by tile; see `comfy.utils.tiled_scale_multidim`."""
    axes = len(tile)
    overlaps = [overlap] * axes if isinstance(overlap, int) else list(overlap)
    sizes = _per_axis(scale, axes)
    places = _per_axis(scale if positions is None else positions, axes)
    extent = samples.shape[2:]
    shape = [_grown(sizes[a], extent[a], shrink=downscale) for a in range(axes)]
    output = torch.empty((len(samples), channels, *shape), device=device)
    starts = [
        _starts(size, edge, lap) for size, edge, lap in zip(extent, tile, overlaps, strict=True)
    ]
    for index in range(len(samples)):
        sample = samples[index : index + 1]
        if math.prod(len(line) for line in starts) == 1:
            output[index : index + 1] = function(sample).to(device)
            if bar is not None:
                bar.update(1)
            continue
        total = torch.zeros((1, channels, *shape), device=device)
        weight = torch.zeros((1, 1, *shape), device=device)
        for corner in itertools.product(*starts):
            part = sample
            for axis, at in enumerate(corner):
                part = part.narrow(axis + 2, at, min(tile[axis], extent[axis] - at))
            made = function(part).to(device)
            target: tuple[slice, ...] = (slice(None), slice(None))
            for axis, at in enumerate(corner):
                begin = _grown(places[axis], at, shrink=downscale)
                end = min(begin + made.shape[axis + 2], shape[axis])
                target += (slice(begin, end),)
            made = made[(slice(None), slice(None), *(slice(s.stop - s.start) for s in target[2:]))]
            ramp = _ramps(made, overlaps, sizes, downscale)
            total[target] += made * ramp
            weight[target] += ramp
            if bar is not None:
                bar.update(1)
        output[index : index + 1] = total / weight
    return output


def _ramps(
    made: Tensor, overlaps: Sequence[int], sizes: Sequence[Growth], downscale: bool
) -> Tensor:
    """Weights [1, 1, *axes] that fall towards the edges within the overlap."""
    ramp = torch.ones((1, 1, *made.shape[2:]), device=made.device)
    for axis, lap in enumerate(overlaps):
        length = made.shape[axis + 2]
        feather = _grown(sizes[axis], lap, shrink=downscale)
        if feather >= length:  # there is no middle: all of it counts alike
            continue
        distance = torch.arange(length, device=made.device) + 1
        edge = torch.minimum(distance, distance.flip(0)) / max(feather, 1)
        shape = [1] * made.ndim
        shape[axis + 2] = length
        ramp = ramp * edge.clamp(max=1).reshape(shape)
    return ramp
