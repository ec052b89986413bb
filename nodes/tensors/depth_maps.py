"""Depth as brightness."""

from __future__ import annotations

import torch
from torch import Tensor

SKY = 0.3  # from here on the authors of Depth Anything 3 count a pixel as sky
_FOREGROUND = 0.99  # the share of it that is nearer than where they put the sky
_DEVIATIONS = 2.0  # around the mean, from black to white
_LEAST = 11  # pixels of sky and of something else, below which they change nothing


def clip_sky(depth: Tensor, sky: Tensor) -> Tensor:
    """Depth [B, H, W] with the sky as far away as nearly all of what is before it."""
    made = depth.clone()
    for values, is_sky in zip(made, sky >= SKY, strict=True):
        if is_sky.sum() >= _LEAST and (~is_sky).sum() >= _LEAST:
            values[is_sky] = _quantile(values[~is_sky], _FOREGROUND)
    return made


def _quantile(values: Tensor, share: float) -> Tensor:
    """Between the two nearest values, as torch.quantile, for any number of values."""
    ordered = values.sort().values
    place = share * (len(ordered) - 1)
    below = int(place)
    return torch.lerp(ordered[below], ordered[min(below + 1, len(ordered) - 1)], place - below)


def as_brightness(depth: Tensor, sky: Tensor | None, normalization: str) -> Tensor:
    """Depth [B, H, W] as brightness, near is bright; `raw` leaves it as it is.

    `min_max` goes from the farthest pixel of each picture, 0, to the nearest, 1. `v2_style` is like
    what version 2 of the network gave: the inverse of depth, its mean as 0.5, and both ends two
    standard deviations away. What is sky does not count for mean and deviation.
    """
    if normalization == "raw":
        return depth
    if normalization == "min_max":
        near, far = depth.amin(dim=(1, 2), keepdim=True), depth.amax(dim=(1, 2), keepdim=True)
        return (far - depth) / (far - near).clamp(min=1e-12)
    inverse = 1 / depth.clamp(min=1e-6)
    counts = torch.ones_like(inverse) if sky is None else (sky < SKY).to(inverse)
    counts = torch.where(counts.sum(dim=(1, 2), keepdim=True) > 0, counts, 1)
    total = counts.sum(dim=(1, 2), keepdim=True)
    mean = (inverse * counts).sum(dim=(1, 2), keepdim=True) / total
    variance = ((inverse - mean).square() * counts).sum(dim=(1, 2), keepdim=True) / total
    standard = (inverse - mean) / variance.sqrt().clamp(min=1e-12)
    return (0.5 + standard / (2 * _DEVIATIONS)).clamp(0, 1)
