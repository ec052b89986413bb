"""Operations on latents [B, C, ...] that keep the direction of each channel vector in mind."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def tonemap_reinhard(latent: Tensor, multiplier: float) -> Tensor:
    """Compress long channel vectors (Reinhard et al. 2002, equation 3).

    White is 5 standard deviations above the mean length of an item's vectors, times `multiplier`.
    """
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True) + 1e-10
    axes = tuple(range(1, latent.ndim))
    mean, deviation = length.mean(axes, keepdim=True), length.std(axes, keepdim=True)
    white = (deviation * 5 + mean) * multiplier
    relative = length / white
    result: Tensor = latent / length * (relative / (relative + 1) * white)
    return result


def sharpen(latent: Tensor, *, radius: int, sigma: float, alpha: float) -> Tensor:
    """Unsharp masking of the directions of channel vectors [B, C, H, W]; their lengths stay.

    The blur is a Gaussian on a grid from -1 to 1 of 2 radius + 1 points; ten times `alpha` is
    added of what it takes away. Raises RuntimeError for a radius that is not below each side.
    """
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True) + 1e-6
    side = 2 * radius + 1
    line = torch.linspace(-1, 1, side, device=latent.device)
    blur = (-(line[:, None] ** 2 + line[None, :] ** 2) / (2 * sigma**2)).exp()
    kernel = blur / blur.sum() * (-10 * alpha)
    kernel[radius, radius] += 1 - kernel.sum()
    channels = latent.shape[1]
    padded = functional.pad(latent / length, (radius,) * 4, mode="reflect")
    weights = kernel.to(latent.dtype).expand(channels, 1, side, side)
    result: Tensor = functional.conv2d(padded, weights, groups=channels) * length
    return result
