"""DPM-Solver++ (Lu et al. 2022, "Fast solver for guided sampling"), deterministic forms.

A first order step is an interpolation between x and the prediction on every schedule:
x_t = (sigma_t / sigma_s) x_s + (1 - sigma_t / sigma_s) D.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.ancestral import add_noise, split_step
from models.sampling.samplers.log_snr import lambda_of, sigma_of
from models.sampling.samplers.sampler import Callback, Denoiser

MIDPOINT_FROM_PURE_NOISE = 0.9999  # of a flow step from sigma 1, where lambda is infinite


def sample_dpmpp_2m(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
) -> Tensor:
    """DPM-Solver++(2M), algorithm 2, with lambda = -log sigma on every schedule."""
    denoised_old: Tensor | None = None
    h_last = 0.0
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        h = math.log(sigma / sigma_next)
        target = denoised
        if denoised_old is not None:
            r = h_last / h
            target = torch.lerp(denoised_old, denoised, 1 + 1 / (2 * r))
        x = torch.lerp(target, x, sigma_next / sigma)
        denoised_old, h_last = denoised, h
    return x


def sample_dpmpp_2s_ancestral(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver++(2S), algorithm 1 with r = 1/2, to below the target, and noise up to it."""
    schedule = denoise.schedule
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        step = split_step(schedule, sigma, sigma_next, eta)
        if step.down == 0:
            x = denoised
        else:
            if schedule.is_flow and sigma == 1:
                sigma_mid = MIDPOINT_FROM_PURE_NOISE
            else:
                middle = (lambda_of(schedule, sigma) + lambda_of(schedule, step.down)) / 2
                sigma_mid = sigma_of(schedule, middle)
            x_2 = torch.lerp(denoised, x, sigma_mid / sigma)
            x = torch.lerp(denoise(x_2, sigma_mid), x, step.down / sigma)
        x = add_noise(x, step, noise, s_noise)
    return x
