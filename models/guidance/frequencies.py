"""Guidance by frequencies of a latent."""

from __future__ import annotations

import torch
from torch import Tensor


def scale_frequencies(x: Tensor, *, low: float, high: float, cutoff: int) -> Tensor:
    """FreSca (Huang et al. 2025): x [..., H, W] with its low and high frequencies scaled.

    Low are those less than `cutoff` away from 0 along both axes, at most half of the spectrum.
    """
    height, width = x.shape[-2:]
    spectrum = torch.fft.fftshift(torch.fft.fftn(x.float(), dim=(-2, -1)), dim=(-2, -1))
    factors = torch.full((height, width), high, device=x.device)
    rows, columns = (
        slice(max(side // 2 - cutoff, 0), side // 2 + cutoff) for side in (height, width)
    )
    factors[rows, columns] = low
    shifted = torch.fft.ifftshift(spectrum * factors, dim=(-2, -1))
    scaled: Tensor = torch.fft.ifftn(shifted, dim=(-2, -1)).real.to(x.dtype)
    return scaled
