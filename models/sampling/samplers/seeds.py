"""SEEDS (Gonzalez et al. 2023): exponential SDE solvers with several stages, in lambda.

Stage noises share one path: the noise of a later stage is the earlier one's, faded, plus a
fresh draw for the time since.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.log_snr import alpha_of, below_pure_noise, lambda_of, sigma_of
from models.sampling.samplers.sampler import Callback, Denoiser
from models.sampling.schedule import Schedule


def phi_1(h: float) -> float:
    """(exp(h) - 1) / h."""
    return math.expm1(h) / h


def phi_2(h: float) -> float:
    """(phi_1(h) - 1) / h."""
    return (phi_1(h) - 1) / h


class _Step:
    """A step from one lambda to another, with stages at fractions r of it."""

    def __init__(
        self,
        schedule: Schedule,
        sigma: float,
        sigma_next: float,
        noise: NoiseSampler,
        eta: float,
        s_noise: float,
    ) -> None:
        self.schedule = schedule
        self.sigma, self.sigma_next = sigma, sigma_next
        self.lambda_ = lambda_of(schedule, sigma)
        self.h = lambda_of(schedule, sigma_next) - self.lambda_
        self.h_eta = self.h * (eta + 1)
        self._draw = noise
        self._eta = eta
        self._s_noise = s_noise if eta > 0 else 0.0
        self._noise: Tensor | None = None
        self._r = 0.0

    def sigma_at(self, r: float) -> float:
        """The noise level of a stage."""
        return self.sigma_next if r == 1 else sigma_of(self.schedule, self.lambda_ + r * self.h)

    def exponential(self, x: Tensor, denoised: Tensor, r: float) -> Tensor:
        """The first order solution at a stage, without noise."""
        sigma = self.sigma_at(r)
        alpha = alpha_of(self.schedule, sigma)
        keep = sigma / self.sigma * math.exp(-r * self.h * self._eta)
        return x * keep - denoised * (alpha * math.expm1(-r * self.h_eta))

    def with_noise(self, x: Tensor, r: float) -> Tensor:
        """Add the path's noise up to a stage; stages come in rising order."""
        if self._s_noise <= 0:
            return x
        since = (r - self._r) * self.h * self._eta
        fresh = self._draw(self.sigma_at(self._r), self.sigma_at(r)) * math.sqrt(
            -math.expm1(-2 * since)
        )
        self._noise = fresh if self._noise is None else self._noise * math.exp(-since) + fresh
        self._r = r
        return x + self._noise * (self.sigma_at(r) * self._s_noise)


def sample_seeds_2(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
    solver_type: Literal["phi_1", "phi_2"] = "phi_1",
) -> Tensor:
    """SEEDS-2 with its inner stage at r; r = 1 and eta = 0 is the exponential Heun method."""
    schedule = denoise.schedule
    for i, (sigma, sigma_next) in enumerate(pairwise(below_pure_noise(schedule, sigmas))):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        step = _Step(schedule, sigma, sigma_next, noise, eta, s_noise)
        x_2 = step.with_noise(step.exponential(x, denoised, r), r)
        slope = denoise(x_2, step.sigma_at(r)) - denoised
        phi = phi_1(-step.h_eta) / 2 if solver_type == "phi_1" else phi_2(-step.h_eta)
        x = step.exponential(x, denoised, 1.0)
        x = x + slope * (alpha_of(schedule, sigma_next) * step.h_eta * phi / r)
        x = step.with_noise(x, 1.0)
    return x


def sample_seeds_3(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r_1: float = 1 / 3,
    r_2: float = 2 / 3,
) -> Tensor:
    """SEEDS-3 with its inner stages at r_1 and r_2."""
    schedule = denoise.schedule
    for i, (sigma, sigma_next) in enumerate(pairwise(below_pure_noise(schedule, sigmas))):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        step = _Step(schedule, sigma, sigma_next, noise, eta, s_noise)
        x_2 = step.with_noise(step.exponential(x, denoised, r_1), r_1)
        slope = denoise(x_2, step.sigma_at(r_1)) - denoised
        sigma_2 = step.sigma_at(r_2)
        weight = r_2 / r_1 * r_2 * step.h_eta * phi_2(-r_2 * step.h_eta)
        x_3 = step.exponential(x, denoised, r_2) + slope * (alpha_of(schedule, sigma_2) * weight)
        x_3 = step.with_noise(x_3, r_2)
        slope = denoise(x_3, sigma_2) - denoised
        weight = step.h_eta * phi_2(-step.h_eta) / r_2
        x = step.exponential(x, denoised, 1.0)
        x = x + slope * (alpha_of(schedule, sigma_next) * weight)
        x = step.with_noise(x, 1.0)
    return x
