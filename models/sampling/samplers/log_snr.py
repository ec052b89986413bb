"""The time of exponential integrators: lambda = log(alpha / sigma), half the log-SNR.

alpha is the signal's share: 1 - sigma on flow schedules, 1 on all others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from models.sampling.schedule import Schedule


def alpha_of(schedule: Schedule, sigma: float) -> float:
    """How much of the clean latent a noisy one holds."""
    return 1.0 - sigma if schedule.is_flow else 1.0


def lambda_of(schedule: Schedule, sigma: float) -> float:
    """Half the log-SNR of a positive sigma (below 1 on flow schedules)."""
    return math.log(alpha_of(schedule, sigma) / sigma)


def sigma_of(schedule: Schedule, lambda_: float) -> float:
    """The sigma with the given half log-SNR."""
    return 1.0 / (1.0 + math.exp(lambda_)) if schedule.is_flow else math.exp(-lambda_)


def sigma_between(schedule: Schedule, sigma: float, sigma_next: float, r: float) -> float:
    """The sigma a fraction r of the way in lambda.

    In single precision, as the reference: a Brownian path is told apart at the sixth decimal.
    """
    levels = torch.tensor([sigma, sigma_next])
    lambda_s, lambda_t = -levels.logit() if schedule.is_flow else -levels.log()
    middle = lambda_s + r * (lambda_t - lambda_s)
    return float((-middle).sigmoid() if schedule.is_flow else (-middle).exp())


def below_pure_noise(schedule: Schedule, sigmas: Sequence[float]) -> list[float]:
    """The list with a first flow sigma of 1 moved just below, where lambda is finite."""
    moved = list(sigmas)
    if schedule.is_flow and len(moved) > 1 and moved[0] >= 1:
        moved[0] = schedule.percent_to_sigma(1e-4)
    return moved
