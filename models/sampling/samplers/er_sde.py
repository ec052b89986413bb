"""ER-SDE-Solver (Cui et al. 2023): extended reverse-time SDE, up to third order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.log_snr import alpha_of, below_pure_noise
from models.sampling.samplers.sampler import Callback, Denoiser

POINTS = 200  # of the numerical integrals

Scaler = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _er_sde_5(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The noise scaling function that the paper recommends."""
    scaled: NDArray[np.float64] = x * (np.exp(x**0.3) + 10.0)
    return scaled


def reverse_time_scaler(eta: float) -> Scaler:
    """The noise scaling function of the reverse-time SDE; eta = 0 makes it the ODE (table 1)."""
    return lambda x: x ** (eta + 1)


def sample_er_sde(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    s_noise: float = 1.0,
    max_stage: int = 3,
    noise_scaler: Scaler = _er_sde_5,
) -> Tensor:
    """ER-SDE-Solver-3 (algorithm 3) in units of the signal, lambda = sigma / alpha."""
    schedule = denoise.schedule
    levels = below_pure_noise(schedule, sigmas)
    lambdas = [sigma / alpha_of(schedule, sigma) for sigma in levels]
    denoised_old: Tensor | None = None
    slope_old: Tensor | None = None

    def scale(value: float) -> float:
        return float(noise_scaler(np.array([value]))[0])

    for i, (sigma, sigma_next) in enumerate(pairwise(levels)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        now, target = lambdas[i], lambdas[i + 1]
        alpha, alpha_next = alpha_of(schedule, sigma), alpha_of(schedule, sigma_next)
        r = scale(target) / scale(now)
        x = x * (alpha_next / alpha * r) + denoised * (alpha_next * (1 - r))
        if denoised_old is not None and max_stage >= 2:
            dt = target - now
            width = -dt / POINTS
            places = target + np.arange(POINTS, dtype=np.float64) * width
            scaled = noise_scaler(places)
            slope = (denoised - denoised_old) / _apart(now, lambdas[i - 1])
            weight = dt + float(np.sum(1 / scaled)) * width * scale(target)
            x = x + slope * (alpha_next * weight)
            if slope_old is not None and max_stage >= 3:
                bend = (slope - slope_old) / ((now - lambdas[i - 2]) / 2)
                area = float(np.sum((places - now) / scaled)) * width
                x = x + bend * (alpha_next * (dt**2 / 2 + area * scale(target)))
            slope_old = slope
        spread = target**2 - (now * r) ** 2
        if s_noise > 0 and spread > 0:
            x = x + noise(sigma, sigma_next) * (alpha_next * s_noise * math.sqrt(spread))
        denoised_old = denoised
    return x


def _apart(after: float, before: float) -> float:
    """The distance of two levels; tensors do not say that they are divided by 0."""
    if after == before:
        raise ZeroDivisionError("two levels are the same")
    return after - before
