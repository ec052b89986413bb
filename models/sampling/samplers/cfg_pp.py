"""CFG++ (Chung et al. 2024): noise is renewed from the unconditional prediction.

A guided step keeps the guided prediction D as the clean part, but takes the noise direction
from the prediction U without the prompt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.ancestral import add_noise, additive_split
from models.sampling.samplers.log_snr import alpha_of
from models.sampling.samplers.sampler import Callback, Denoiser


def sample_euler_ancestral_cfg_pp(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """Euler steps with CFG++; eta = 0 adds no noise. Levels are split in units of the signal."""
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, unconditional = denoise.with_unconditional(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        alpha, alpha_next = (
            alpha_of(denoise.schedule, sigma),
            alpha_of(denoise.schedule, sigma_next),
        )
        d = (x - unconditional * alpha) / sigma
        step = additive_split(sigma / alpha if alpha else math.inf, sigma_next / alpha_next, eta)
        x = denoised * alpha_next + d * (step.down * alpha_next)
        if step.up > 0 and s_noise > 0:
            x = x + noise(sigma, sigma_next) * (alpha_next * s_noise * step.up)
    return x


def sample_euler_cfg_pp_alternative(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
) -> Tensor:
    """Euler steps whose slope has the unconditional prediction added to the latent.

    d = (x - D + (U - D)) / sigma: guidance is taken off the noise twice, not only replaced.
    """
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, unconditional = denoise.with_unconditional(x, sigma)
        callback(i, x, denoised)
        d = (x - denoised * 2 + unconditional) / sigma
        x = x + d * (sigma_next - sigma)
    return x


def sample_dpmpp_2m_cfg_pp(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
) -> Tensor:
    """DPM-Solver++(2M) with CFG++; the slope in lambda runs from the old unconditional one."""
    unconditional_old: Tensor | None = None
    h_last = 0.0
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, unconditional = denoise.with_unconditional(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        h = math.log(sigma / sigma_next)
        keep = sigma_next / sigma
        x = denoised + (x - unconditional) * keep
        if unconditional_old is not None:
            r = h_last / h
            x = x + (denoised - unconditional_old) * ((1 - keep) / (2 * r))
        unconditional_old, h_last = unconditional, h
    return x


def sample_dpmpp_2s_ancestral_cfg_pp(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver++(2S) ancestral with CFG++, with lambda = -log sigma on every schedule."""
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised, unconditional = denoise.with_unconditional(x, sigma)
        callback(i, x, denoised)
        step = additive_split(sigma, sigma_next, eta)
        if step.down == 0:
            x = denoised
        else:
            sigma_mid = math.sqrt(sigma * step.down)
            x_2 = denoised + (x - unconditional) * (sigma_mid / sigma)
            denoised_2, unconditional_2 = denoise.with_unconditional(x_2, sigma_mid)
            x = torch.lerp(denoised_2, x + (denoised - unconditional_2), step.down / sigma)
        x = add_noise(x, step, noise, s_noise)
    return x
