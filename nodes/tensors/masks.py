"""Masks (MASK: float32 [B, H, W] in 0..1) grown, feathered and combined; pictures laid by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from nodes.tensors.batches import repeat_to


def as_batch(mask: Tensor) -> Tensor:
    """[B, H, W] of whatever has H and W last."""
    return mask.reshape(-1, *mask.shape[-2:])


def grow(mask: Tensor, steps: int, *, tapered: bool) -> Tensor:
    """Grey dilation by so many pixels, erosion for steps below 0; tapered: by a diamond."""
    mask = as_batch(mask)
    if steps < 0:
        return -grow(-mask, -steps, tapered=tapered)
    steps = min(steps, sum(mask.shape[-2:]))
    grown = mask[:, None]
    for _ in range(steps):
        columns = functional.max_pool2d(grown, (1, 3), stride=1, padding=(0, 1))
        rows = functional.max_pool2d(
            grown if tapered else columns, (3, 1), stride=1, padding=(1, 0)
        )
        grown = torch.maximum(columns, rows)
    return grown[:, 0]


def feather(mask: Tensor, left: int, top: int, right: int, bottom: int) -> Tensor:
    """The mask falls off towards its edges, over so many pixels each."""
    mask = as_batch(mask)
    rows = _ramps(mask.shape[-2], top, bottom).to(mask)
    columns = _ramps(mask.shape[-1], left, right).to(mask)
    return mask * rows[:, None] * columns


def _ramps(size: int, start: int, end: int) -> Tensor:
    """Weights that rise over `start` places and fall over `end` places.

    The first step of the fall is at place 0, not behind the last one: recorded results have that.
    """
    weights = torch.ones(size)
    start, end = min(start, size), min(end, size)
    weights[:start] *= torch.arange(1, start + 1) / max(1, start)
    places = -torch.arange(end) % size
    weights[places] *= torch.arange(1, end + 1) / max(1, end)
    return weights


def _logical(combine: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda a, b: combine(a.round().bool(), b.round().bool()).to(a)


OPERATIONS: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "multiply": torch.mul,
    "add": torch.add,
    "subtract": torch.sub,
    "and": _logical(torch.logical_and),
    "or": _logical(torch.logical_or),
    "xor": _logical(torch.logical_xor),
}


def combine(lower: Tensor, upper: Tensor, x: int, y: int, operation: str) -> Tensor:
    """The lower mask, changed by the upper one where that lies on it from (x, y) on."""
    lower, upper = as_batch(lower), as_batch(upper)
    count = max(lower.shape[0], upper.shape[0])
    result, upper = repeat_to(lower, count).clone(), repeat_to(upper, count)
    part = upper[:, : max(0, result.shape[-2] - y), : max(0, result.shape[-1] - x)]
    place = (..., slice(y, y + part.shape[-2]), slice(x, x + part.shape[-1]))
    result[place] = OPERATIONS[operation](result[place], part.to(result))
    return result.clamp_(0, 1)


def lay_over(
    lower: Tensor,
    upper: Tensor,
    x: int,
    y: int,
    mask: Tensor | None,
    *,
    resize_upper: bool,
) -> Tensor:
    """[B, C, H, W] with another laid on from (x, y) on, where the mask of the latter is 1.

    The upper one is repeated to the batch of the lower one, and its mask resized to its sides.
    Raises ValueError for places before the lower one.
    """
    if x < 0 or y < 0:
        raise ValueError(f"a picture is laid on from 0 on, not from ({x}, {y})")
    upper = upper.to(lower)
    if resize_upper:
        upper = functional.interpolate(upper, size=lower.shape[-2:], mode="bilinear")
    result = lower.clone()
    height = min(upper.shape[-2], lower.shape[-2] - y)
    width = min(upper.shape[-1], lower.shape[-1] - x)
    if height <= 0 or width <= 0:
        return result
    place = (..., slice(y, y + height), slice(x, x + width))
    part = repeat_to(upper[..., :height, :width], lower.shape[0])
    if mask is None:
        result[place] = part
        return result
    weight = as_batch(mask)[:, None].to(lower)
    weight = functional.interpolate(weight, size=upper.shape[-2:], mode="bilinear")
    weight = repeat_to(weight[..., :height, :width], lower.shape[0])
    result[place] = part * weight + result[place] * (1 - weight)
    return result


def is_color(image: Tensor, color: int) -> Tensor:
    """1 where a picture [B, H, W, C] has the color 0xRRGGBB on 8 bits a channel, else 0."""
    levels = (image[..., :3].clamp(0, 1) * 255).round().to(torch.int32)
    wanted = torch.tensor([color >> shift & 0xFF for shift in (16, 8, 0)]).to(levels)
    return (levels == wanted).all(dim=-1).float()
