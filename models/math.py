"""Tensor helpers that several node families share."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput


def resize(samples: Tensor, width: int, height: int, method: str, *, crop: bool = False) -> Tensor:
    """Resize [B, C, ..., H, W] along its last two axes; extra axes count as batch.

    Methods: nearest-exact, bilinear, area, bicubic, bislerp, lanczos. With `crop` the source is
    first cut, around its centre, to the target's aspect ratio. Lanczos works on 8 bits a channel
    and takes 1 < C <= 4; raises ValueError else. Raises InvalidInput for what has no such axes.
    """
    if samples.ndim < 4:
        raise InvalidInput(
            f"a latent of the shape {list(samples.shape)} has no height and width to change"
        )
    if samples.ndim > 4:
        frames = samples.movedim(1, -3).flatten(0, -4)  # (b t) c h w
        resized = resize(frames, width, height, method, crop=crop)
        shape = (samples.shape[0], *samples.shape[2:-2], *resized.shape[1:])
        return resized.reshape(shape).movedim(-3, 1)
    if crop:
        samples = _crop_to_aspect(samples, width, height)
    if method == "bislerp":
        return bislerp(samples, width, height)
    if method == "lanczos":
        return lanczos(samples, width, height)
    return functional.interpolate(samples, size=(height, width), mode=method)


def _crop_to_aspect(samples: Tensor, width: int, height: int) -> Tensor:
    old_height, old_width = samples.shape[-2:]
    old, new = old_width / old_height, width / height
    x = round((old_width - old_width * (new / old)) / 2) if old > new else 0
    y = round((old_height - old_height * (old / new)) / 2) if old < new else 0
    x, y = min(x, (old_width - 1) // 2), min(y, (old_height - 1) // 2)  # something is left
    return samples[..., y : old_height - y, x : old_width - x]


def lanczos(samples: Tensor, width: int, height: int) -> Tensor:
    """Resize pictures [B, C, H, W] of 2 to 4 channels on 8 bits a channel."""
    if samples.shape[1] not in (2, 3, 4):
        raise ValueError(f"lanczos takes pictures of 3 or 4 channels, not {samples.shape[1]}")
    result = torch.empty(samples.shape[0], height, width, samples.shape[1])
    for sample, made in zip(samples, result, strict=True):  # one at a time: they may be large
        levels = sample.movedim(0, -1).to("cpu", torch.float32).mul(255).clamp_(0, 255)
        picture = Image.fromarray(levels.to(torch.uint8).numpy())
        resized = np.array(picture.resize((width, height), Image.Resampling.LANCZOS))
        torch.div(torch.from_numpy(resized), 255, out=made)
    return result.movedim(-1, 1).to(samples.device, samples.dtype)


def bislerp(samples: Tensor, width: int, height: int) -> Tensor:
    """Resize [B, C, H, W] by spherical interpolation of the channel vectors, an axis at a time.

    The length of a vector is interpolated linearly, its direction along the great circle.
    """
    resized = _slerp_last_axis(samples.float(), width)
    resized = _slerp_last_axis(resized.transpose(-1, -2), height).transpose(-1, -2)
    return resized.to(samples.dtype)


def _slerp_last_axis(samples: Tensor, size: int) -> Tensor:
    old = samples.shape[-1]
    position = (torch.arange(size, device=samples.device) + 0.5) * (old / size) - 0.5
    position = position.clamp(0, old - 1)
    low = position.floor().long()
    high = (low + 1).clamp(max=old - 1)
    return _slerp(samples[..., low], samples[..., high], position - low)


def _slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """From a to b, vectors along axis 1; t broadcasts along the last axis."""
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    unit_a = torch.where(length_a > 0, a / length_a, 0)
    unit_b = torch.where(length_b > 0, b / length_b, 0)
    cosine = (unit_a * unit_b).sum(dim=1, keepdim=True)
    angle = cosine.clamp(-1, 1).acos()
    sine = angle.sin()
    direction = (((1 - t) * angle).sin() * unit_a + (t * angle).sin() * unit_b) / sine
    result = direction * (length_a * (1 - t) + length_b * t)
    result = torch.where(cosine > 1 - 1e-5, a, result)  # as good as parallel
    return torch.where(cosine < 1e-5 - 1, a * (1 - t) + b * t, result)  # opposite: no great circle
