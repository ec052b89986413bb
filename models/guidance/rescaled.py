"""Guidance whose result is brought back to the size of the positive prediction.

All take and return predictions [B, C, ...]; `cfg` is the guidance scale.
"""

from __future__ import annotations

import torch
from torch import Tensor

Sigma = float | Tensor


def per_item(x: Tensor) -> tuple[int, ...]:
    """The axes of one item of a batch."""
    return tuple(range(1, x.ndim))


def rescale_cfg(
    x: Tensor, positive: Tensor, negative: Tensor, sigma: Sigma, *, cfg: float, multiplier: float
) -> Tensor:
    """Lin et al. 2023 (Common Diffusion Noise Schedules), section 3.4: the clean latent.

    positive and negative are predictions of the clean latent for the noisy x. The guided velocity
    gets the standard deviation of the positive one, to the part `multiplier`.
    """
    scale = (sigma**2 + 1) ** 0.5
    signal = x / (sigma**2 + 1)

    def velocity(denoised: Tensor) -> Tensor:
        return (signal - denoised) * scale / sigma

    target = velocity(positive)
    guided = torch.lerp(velocity(negative), target, cfg)
    axes = per_item(x)
    rescaled = guided * (target.std(axes, keepdim=True) / guided.std(axes, keepdim=True))
    return signal - torch.lerp(guided, rescaled, multiplier) * sigma / scale


def length(x: Tensor, axes: int | tuple[int, ...]) -> Tensor:
    """The Euclidean norm over some axes, which stay as axes of size 1."""
    result: Tensor = torch.linalg.vector_norm(x, dim=axes, keepdim=True)
    return result


def limited_norm(guided: Tensor, positive: Tensor, strength: float) -> Tensor:
    """Guidance that is no longer than the positive prediction, times `strength` (HiDream-E1).

    The length is that of the channel vector at each place.
    """
    ratio = length(positive, 1) / (length(guided, 1) + 1e-8)
    return guided * ratio.clamp(min=0.0, max=1.0) * strength


def norm_of_positive(positive: Tensor, negative: Tensor, *, cfg: float, strength: float) -> Tensor:
    """Guidance with the length of the positive prediction, to the part `strength` (JoyImage).

    The predictions are of noise, or of velocity times any number: the length, that of the channel
    vector at each place, is their ratio.
    """
    guided = torch.lerp(negative, positive, cfg)
    same = guided * (length(positive, 1) / length(guided, 1).clamp(min=1e-6))
    return torch.lerp(guided, same, strength)


def limited_length(positive: Tensor, negative: Tensor, *, cfg: float, limit: float) -> Tensor:
    """CFG renormalisation of Lumina-Image 2.0: guidance at most `limit` times as long as positive.

    The length is that of a whole item.
    """
    guided = torch.lerp(negative, positive, cfg)
    longest = length(positive, per_item(positive)) * limit
    found = length(guided, per_item(guided))
    return torch.where(found > longest, guided * (longest / found), guided)
