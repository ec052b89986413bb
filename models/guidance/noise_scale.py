"""Corrections of how much noise a prediction says there is."""

from __future__ import annotations

import torch
from torch import Tensor


def scaled_epsilon(x: Tensor, denoised: Tensor, factor: float) -> Tensor:
    """Epsilon scaling (Ning et al. 2024), equation 11: the clean latent for noise / factor."""
    return x - (x - denoised) / factor


def rescaled_score(
    x: Tensor, denoised: Tensor, *, alpha: Tensor, sigma: Tensor, k: float, width: float
) -> Tensor:
    """Temporal score rescaling (Xu et al. 2025), equation 5: the clean latent.

    x is alpha clean + sigma noise. The noise is multiplied by
    ``(snr width^2 + 1) / (snr width^2 / k + 1)`` with ``snr = alpha^2 / sigma^2``: k below 1 makes
    samples more typical. The level sigma 0 changes nothing.
    """
    spread = (alpha / sigma) ** 2 * width**2
    factor = (spread + 1) / (spread / k + 1)
    changed = torch.lerp(x / alpha, denoised, factor)
    return torch.where((sigma > 0) & (alpha > 0), changed, denoised)
