"""Samplers that jump to the prediction and noise it again: LCM."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from torch import Tensor

from models.math import resize
from models.sampling.noise import ContinuedNoise, NoiseSampler
from models.sampling.samplers.sampler import Callback, Denoiser


def sample_lcm(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
) -> Tensor:
    """Multistep consistency sampling (Luo et al. 2023, algorithm 3)."""
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        x = denoised
        if sigma_next > 0:
            fresh = noise(sigma, sigma_next)
            x = denoise.schedule.noise_latent(denoised, fresh, sigma_next)
    return x


def sample_lcm_upscale(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: ContinuedNoise,
    callback: Callback,
    *,
    total_upscale: float = 2.0,
    upscale_method: str = "bislerp",
    upscale_steps: int | None = None,
) -> Tensor:
    """As sample_lcm, growing the prediction [B, C, h, w] evenly over the first steps.

    Without upscale_steps half of the steps grow it. Noise is added with sigma on every schedule.
    """
    growing = len(sigmas) // 2 if upscale_steps is None else min(upscale_steps, len(sigmas))
    factors = np.linspace(1.0, total_upscale, max(growing, 1) + 1)[1:].tolist()
    height, width = x.shape[-2:]
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        x = denoised
        if i < len(factors):
            size = round(width * factors[i]), round(height * factors[i])
            x = resize(x, *size, upscale_method)
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next, x.shape) * sigma_next
    return x
