"""DPM-Solver-2 with the midpoint in log sigma, plain and ancestral."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.ancestral import add_noise, split_step
from models.sampling.samplers.churn import Churn
from models.sampling.samplers.sampler import Callback, Denoiser


def sample_dpm_2(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Tensor:
    """The midpoint method (Lu et al. 2022, DPM-Solver-2, in the variables of Karras et al.)."""
    churn = Churn(s_churn, s_tmin, s_tmax, s_noise)
    for i, (level, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma = churn.raised(x, level, len(sigmas) - 1, noise)
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        x = _midpoint_step(denoise, x, denoised, sigma, sigma_next)
    return x


def sample_dpm_2_ancestral(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver-2 to below the target, and noise up to it."""
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        step = split_step(denoise.schedule, sigma, sigma_next, eta)
        x = _midpoint_step(denoise, x, denoised, sigma, step.down)
        x = add_noise(x, step, noise, s_noise)
    return x


def _midpoint_step(
    denoise: Denoiser, x: Tensor, denoised: Tensor, sigma: float, target: float
) -> Tensor:
    if target == 0:
        return denoised
    sigma_mid = math.sqrt(sigma * target)
    x_2 = torch.lerp(denoised, x, sigma_mid / sigma)
    d_2 = (x_2 - denoise(x_2, sigma_mid)) / sigma_mid
    return x + d_2 * (target - sigma)
