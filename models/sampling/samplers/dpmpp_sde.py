"""DPM-Solver++ for the reverse SDE: single-step, and multistep of second and third order.

h is the growth of lambda in a step and h_eta = (1 + eta) h; see Lu et al. 2022, section 5, for
SDE-DPM-Solver++(2M); eta = 0 gives the ODE solvers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.ancestral import additive_split
from models.sampling.samplers.log_snr import alpha_of, below_pure_noise, lambda_of, sigma_between
from models.sampling.samplers.sampler import Callback, Denoiser
from models.sampling.schedule import Schedule


def sample_dpmpp_sde(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Tensor:
    """DPM-Solver++(2S) with noise added after each of its two stages."""
    schedule = denoise.schedule

    def stage(x: Tensor, target: Tensor, start: float, end: float) -> Tensor:
        # In units of the signal, noise levels add up as variances on every schedule.
        alpha, alpha_end = alpha_of(schedule, start), alpha_of(schedule, end)
        step = additive_split(start / alpha, end / alpha_end, eta)
        ratio = step.down / step.sigma
        x = x * (alpha_end / alpha * ratio) + target * (alpha_end * (1 - ratio))
        if step.up > 0 and s_noise > 0:
            x = x + noise(start, end) * (alpha_end * s_noise * step.up)
        return x

    for i, (sigma, sigma_next) in enumerate(pairwise(below_pure_noise(schedule, sigmas))):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        sigma_mid = sigma_between(schedule, sigma, sigma_next, r)
        x_2 = stage(x, denoised, sigma, sigma_mid)
        denoised_2 = denoise(x_2, sigma_mid)
        weight = 1 / (2 * r)
        x = stage(x, denoised * (1 - weight) + denoised_2 * weight, sigma, sigma_next)
    return x


def sample_dpmpp_2m_sde(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
) -> Tensor:
    """SDE-DPM-Solver++(2M)."""
    schedule = denoise.schedule
    denoised_old: Tensor | None = None
    h_last = 0.0
    for i, (sigma, sigma_next) in enumerate(pairwise(below_pure_noise(schedule, sigmas))):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        h = lambda_of(schedule, sigma_next) - lambda_of(schedule, sigma)
        h_eta = h * (eta + 1)
        x = _first_order(schedule, x, denoised, sigma, sigma_next, h, eta)
        if denoised_old is not None:
            alpha = alpha_of(schedule, sigma_next)
            r = h_last / h
            weight = _phi_2(h_eta) if solver_type == "heun" else -0.5 * math.expm1(-h_eta)
            x = x + (denoised - denoised_old) * (alpha * weight / r)
        x = _add_noise(x, noise, sigma, sigma_next, h, eta, s_noise)
        denoised_old, h_last = denoised, h
    return x


def sample_dpmpp_3m_sde(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Tensor:
    """SDE-DPM-Solver++ with divided differences of the last three predictions."""
    schedule = denoise.schedule
    older: list[tuple[Tensor, float]] = []  # predictions and the steps h that followed them
    for i, (sigma, sigma_next) in enumerate(pairwise(below_pure_noise(schedule, sigmas))):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        h = lambda_of(schedule, sigma_next) - lambda_of(schedule, sigma)
        h_eta = h * (eta + 1)
        alpha = alpha_of(schedule, sigma_next)
        x = _first_order(schedule, x, denoised, sigma, sigma_next, h, eta)
        if older:
            (denoised_1, h_1) = older[0]
            r_0 = h_1 / h
            d_1 = (denoised - denoised_1) / r_0
            phi_2 = _phi_2(h_eta)
            if len(older) > 1:
                (denoised_2, h_2) = older[1]
                r_1 = h_2 / h
                d_2 = (d_1 - (denoised_1 - denoised_2) / r_1) / (r_0 + r_1)
                d_1 = d_1 + d_2 * r_0
                x = x - d_2 * (alpha * (phi_2 / h_eta - 0.5))
            x = x + d_1 * (alpha * phi_2)
        x = _add_noise(x, noise, sigma, sigma_next, h, eta, s_noise)
        older = [(denoised, h), *older[:1]]
    return x


def _phi_2(h: float) -> float:
    """1 - (1 - exp(-h)) / h: the weight of a slope in lambda."""
    return math.expm1(-h) / h + 1


def _first_order(
    schedule: Schedule,
    x: Tensor,
    denoised: Tensor,
    sigma: float,
    sigma_next: float,
    h: float,
    eta: float,
) -> Tensor:
    keep = sigma_next / sigma * math.exp(-h * eta)
    gain = alpha_of(schedule, sigma_next) * -math.expm1(-h * (eta + 1))
    return x * keep + denoised * gain


def _add_noise(
    x: Tensor,
    noise: NoiseSampler,
    sigma: float,
    sigma_next: float,
    h: float,
    eta: float,
    s_noise: float,
) -> Tensor:
    if eta <= 0 or s_noise <= 0:
        return x
    spread = math.sqrt(-math.expm1(-2 * h * eta))
    return x + noise(sigma, sigma_next) * (sigma_next * spread * s_noise)
