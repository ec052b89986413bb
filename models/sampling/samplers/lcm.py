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
    *,
    s_noise: float = 1.0,
    s_noise_end: float = 1.0,
    noise_clip_std: float = 0.0,
) -> Tensor:
    """Multistep consistency sampling (Luo et al. 2023, algorithm 3).

    Noise is multiplied by a number that goes from s_noise, at the first step that adds some, to
    s_noise_end at the last one, and held within noise_clip_std standard deviations (0: any).
    """
    scales = np.linspace(s_noise, s_noise_end, max(len(sigmas) - 2, 1)).tolist()
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        x = denoised
        if sigma_next > 0:
            fresh = noise(sigma, sigma_next)
            if noise_clip_std > 0:
                limit = noise_clip_std * fresh.std()
                fresh = fresh.clamp(-limit, limit)
            fresh = fresh * scales[min(i, len(scales) - 1)]
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
