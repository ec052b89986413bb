"""DPM-Solver (Lu et al. 2022) in t = -log sigma: fixed orders, and adaptive step size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.ancestral import additive_split
from models.sampling.samplers.sampler import Callback, Denoiser


class _Solver:
    """The singlestep solvers on the predicted noise eps; x stays [B, C, ...]."""

    def __init__(self, denoise: Denoiser, x: Tensor, t: float) -> None:
        self._denoise = denoise
        self._x = x
        self._t = t
        sigma = math.exp(-t)
        self.denoised = denoise(x, sigma)
        self._eps = (x - self.denoised) / sigma
        self._later: dict[float, Tensor] = {}  # eps at first intermediate points

    def first(self, h: float) -> Tensor:
        """DPM-Solver-1 over a step h."""
        return self._x - self._eps * (math.exp(-self._t - h) * math.expm1(h))

    def second(self, h: float, r_1: float = 1 / 2) -> Tensor:
        """DPM-Solver-2 with its point at r_1."""
        slope = self._eps_at(h, r_1) - self._eps
        return self.first(h) - slope * (math.exp(-self._t - h) / (2 * r_1) * math.expm1(h))

    def third(self, h: float, r_1: float = 1 / 3, r_2: float = 2 / 3) -> Tensor:
        """DPM-Solver-3 with its points at r_1 and r_2."""
        slope = self._eps_at(h, r_1) - self._eps
        t_2 = self._t + r_2 * h
        bend = math.expm1(r_2 * h) / (r_2 * h) - 1
        u_2 = self.first(r_2 * h) - slope * (math.exp(-t_2) * (r_2 / r_1) * bend)
        slope_2 = self._noise(u_2, t_2) - self._eps
        bend = math.expm1(h) / h - 1
        return self.first(h) - slope_2 * (math.exp(-self._t - h) / r_2 * bend)

    def _eps_at(self, h: float, r: float) -> Tensor:
        if r not in self._later:
            self._later[r] = self._noise(self.first(r * h), self._t + r * h)
        return self._later[r]

    def _noise(self, x: Tensor, t: float) -> Tensor:
        sigma = math.exp(-t)
        return (x - self._denoise(x, sigma)) / sigma


def _ends(sigmas: Sequence[float]) -> tuple[float, float]:
    last = sigmas[-1] if sigmas[-1] > 0 else sigmas[-2]
    return -math.log(sigmas[0]), -math.log(last)


def sample_dpm_fast(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
) -> Tensor:
    """DPM-Solver-fast (section 3.4): as many evaluations as steps, in steps of order 3, 2 and 1.

    Only the first and the last positive sigma count.
    """
    t, t_end = _ends(sigmas)
    evaluations = len(sigmas) - 1
    count = evaluations // 3 + 1
    rest = evaluations % 3
    orders = [3] * (count - 2) + [2, 1] if rest == 0 else [3] * (count - 1) + [rest]
    h = (t_end - t) / count
    for i, order in enumerate(orders):
        solver = _Solver(denoise, x, t + i * h)
        callback(i, x, solver.denoised)
        x = (solver.first, solver.second, solver.third)[order - 1](h)
    return x


class _StepSize:
    """A PID controller for the step size (Söderlind 2003)."""

    def __init__(
        self, h: float, order: float, coefficients: tuple[float, float, float], safety: float
    ) -> None:
        proportional, integral, derivative = coefficients
        self.h = h
        self._powers = (
            (proportional + integral + derivative) / order,
            -(proportional + 2 * derivative) / order,
            derivative / order,
        )
        self._safety = safety
        self._inverse_errors: list[float] = []

    def accepts(self, error: float) -> bool:
        """Whether a step with this error is good enough; sets the size of the next one."""
        inverse = 1 / (error + 1e-8)
        if not self._inverse_errors:
            self._inverse_errors = [inverse] * 3
        self._inverse_errors[0] = inverse
        factor = 1.0
        for value, power in zip(self._inverse_errors, self._powers, strict=True):
            factor *= value**power
        factor = 1 + math.atan(factor - 1)
        accepted = factor >= self._safety
        if accepted:
            self._inverse_errors = [inverse, inverse, self._inverse_errors[1]]
        self.h *= factor
        return accepted


def sample_dpm_adaptive(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver-12 or -23 (appendix C): two orders at a time, their difference sets the step.

    Only the first and the last positive sigma count; the callback may be told more steps than
    the list has.
    """
    t, t_end = _ends(sigmas)
    size = _StepSize(h_init, 1.5 if eta else order, (pcoeff, icoeff, dcoeff), accept_safety)
    x_prev = x
    step = 0
    while t < t_end - 1e-5:
        t_next = min(t_end, t + size.h)
        split = additive_split(math.exp(-t), math.exp(-t_next), eta)
        h = min(t_end, -math.log(split.down)) - t  # no further down than the end
        solver = _Solver(denoise, x, t)
        if order == 2:
            x_low, x_high = solver.first(h), solver.second(h)
        else:
            x_low, x_high = solver.second(h, r_1=1 / 3), solver.third(h)
        delta = torch.maximum(x_low.abs(), x_prev.abs()).mul(rtol).clamp(min=atol)
        error = float(torch.linalg.vector_norm((x_low - x_high) / delta)) / x.numel() ** 0.5
        callback(step, x, solver.denoised)
        if size.accepts(error):
            x_prev = x_low
            x = x_high
            if eta:
                up = math.sqrt(max(0.0, split.sigma_next**2 - math.exp(-t - h) ** 2))
                x = x + noise(split.sigma, split.sigma_next) * (s_noise * up)
            t = t_next
        step += 1
    return x
