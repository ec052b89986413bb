"""SA-Solver: stochastic Adams predictor and corrector (Xue et al. 2023), in lambda.

tau(sigma) sets the amount of noise: 0 gives an ODE solver, 1 the plain reverse SDE.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial
from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.log_snr import alpha_of, below_pure_noise, lambda_of
from models.sampling.samplers.sampler import Callback, Denoiser
from models.sampling.schedule import Schedule

Tau = Callable[[float], float]


def tau_between(
    schedule: Schedule, start_percent: float, end_percent: float, eta: float = 1.0
) -> Tau:
    """eta between two fractions of the schedule, 0 outside."""
    ends = schedule.percent_to_sigma(start_percent), schedule.percent_to_sigma(end_percent)
    return tau_between_levels(*ends, eta)


def tau_between_levels(start_sigma: float, end_sigma: float, eta: float = 1.0) -> Tau:
    """eta between two noise levels, 0 outside."""
    return lambda sigma: eta if end_sigma <= sigma <= start_sigma else 0.0


def adams_weights(nodes: Sequence[float], h: float, rate: float) -> list[float]:
    """Weights of the predictions at times `nodes` for a step from 0 to h.

    They are the integrals of rate exp(-rate (h - u)) times each Lagrange polynomial
    (proposition 4.1), by parts.
    """
    moments = [-math.expm1(-rate * h)]
    for k in range(1, len(nodes)):
        moments.append(h**k - k / rate * moments[-1])
    weights: list[float] = []
    for j, node in enumerate(nodes):
        basis = Polynomial([1.0])
        for k, other in enumerate(nodes):
            if k != j:
                basis *= Polynomial([-other, 1.0]) / (node - other)
        weights.append(float(np.dot(basis.coef, moments)))
    return weights


def simple_weights(nodes: Sequence[float], h: float, rate: float) -> list[float]:
    """`adams_weights` of two predictions, the second order to the lowest power of h (appendix D).

    One of the nodes is 0, the start of the step.
    """
    total = -math.expm1(-rate * h)
    other = rate * h**2 / (2 * sum(nodes))
    return [total - other if node == 0 else other for node in nodes]


@dataclass
class _Move:
    """A step between two sigmas; predictor and corrector share its noise."""

    sigma: float
    sigma_next: float
    alpha: float  # of sigma_next
    start: float  # lambda of sigma
    h: float
    tau: float
    noise: Tensor | None
    simple_order_2: bool

    def apply(self, x: Tensor, history: Sequence[tuple[float, Tensor]]) -> Tensor:
        """x at the end of the step from predictions (lambda, D), as many as the order."""
        nodes = [time - self.start for time, _ in history]
        is_simple = self.simple_order_2 and len(nodes) == 2
        weights = (simple_weights if is_simple else adams_weights)(nodes, self.h, 1 + self.tau**2)
        x = x * (self.sigma_next / self.sigma * math.exp(-(self.tau**2) * self.h))
        for (_, denoised), weight in zip(history, weights, strict=True):
            x = x + denoised * (self.alpha * weight)
        return x if self.noise is None else x + self.noise


def sample_sa_solver(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    tau: Tau | None = None,
    s_noise: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
    use_pece: bool = False,
    simple_order_2: bool = False,
) -> Tensor:
    """SA-Solver (algorithm 1), with tau = 1 from 20 to 80 % of the schedule by default.

    With use_pece the corrected latent is evaluated again (predict, evaluate, correct, evaluate).
    """
    schedule = denoise.schedule
    tau = tau or tau_between(schedule, 0.2, 0.8)
    levels = below_pure_noise(schedule, sigmas)
    history: list[tuple[float, Tensor]] = []  # newest first
    predicted = x
    move: _Move | None = None
    last = len(levels) - 2  # orders fall towards the step to 0
    for i, sigma in enumerate(levels[:-1]):
        sigma_next = levels[i + 1]
        denoised = denoise(predicted, sigma)
        callback(i, predicted, denoised)
        if sigma_next == 0 and not use_pece:
            return denoised
        time = lambda_of(schedule, sigma)
        if move is None or corrector_order == 0:
            x = predicted
        else:
            order = min(corrector_order, last - i + 1)
            x = move.apply(x, [(time, denoised), *history][:order])
            if use_pece:
                denoised = denoise(x, sigma)
        if sigma_next == 0:
            return denoised
        history = [(time, denoised), *history][: max(predictor_order, corrector_order)]
        move = _move(schedule, sigma, sigma_next, tau(sigma_next), noise, s_noise, simple_order_2)
        predicted = move.apply(x, history[: min(predictor_order, max(1, last - i))])
    return predicted


def _move(
    schedule: Schedule,
    sigma: float,
    sigma_next: float,
    tau: float,
    noise: NoiseSampler,
    s_noise: float,
    simple_order_2: bool,
) -> _Move:
    start = lambda_of(schedule, sigma)
    h = lambda_of(schedule, sigma_next) - start
    added = None
    if tau > 0 and s_noise > 0:
        spread = sigma_next * math.sqrt(-math.expm1(-2 * tau**2 * h)) * s_noise
        added = noise(sigma, sigma_next) * spread
    alpha = alpha_of(schedule, sigma_next)
    return _Move(sigma, sigma_next, alpha, start, h, tau, added, simple_order_2)
