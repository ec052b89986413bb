"""Euler's method, plain and with noise added back after each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.ancestral import add_noise, additive_split, split_step
from models.sampling.samplers.churn import Churn
from models.sampling.samplers.sampler import Callback, Denoiser


def sample_euler(
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
    """Euler steps on the probability flow ODE (Karras et al. 2022, algorithm 2, first order)."""
    churn = Churn(s_churn, s_tmin, s_tmax, s_noise)
    for i, (level, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma = churn.raised(x, level, len(sigmas) - 1, noise)
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        x = torch.lerp(denoised, x, sigma_next / sigma)
    return x


def sample_euler_ancestral(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Euler steps below the target, and noise up to it (Song et al. 2020, DDIM with eta)."""
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        step = split_step(denoise.schedule, sigma, sigma_next, eta)
        x = torch.lerp(denoised, x, step.down / sigma)
        x = add_noise(x, step, noise, s_noise)
    return x


def sample_ddpm(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
) -> Tensor:
    """The posterior of Ho et al. 2020, algorithm 2; it is the ancestral step with eta = 1.

    Rescaling x between the variance preserving chain and sigma changes nothing in it.
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        step = additive_split(sigma, sigma_next, eta=1.0)
        x = torch.lerp(denoised, x, step.down / sigma)
        x = add_noise(x, step, noise, s_noise=1.0)
    return x
