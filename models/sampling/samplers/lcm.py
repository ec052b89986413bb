"""Samplers that jump to the prediction and noise it again: LCM."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from models.sampling.noise import NoiseSampler
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
