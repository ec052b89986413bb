"""Ancestral steps: go further down than the target, then add noise up to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.schedule import Schedule


@dataclass(frozen=True)
class AncestralStep:
    """A step from sigma to sigma_next by way of a lower noise level."""

    sigma: float
    sigma_next: float
    down: float  # where the deterministic part ends
    scale: float  # what x is multiplied by afterwards
    up: float  # standard deviation of the noise added then


def split_step(schedule: Schedule, sigma: float, sigma_next: float, eta: float) -> AncestralStep:
    """Split a step so that the amount of noise fits the schedule's kind of process."""
    split = flow_split if schedule.is_flow else additive_split
    return split(sigma, sigma_next, eta)


def additive_split(sigma: float, sigma_next: float, eta: float) -> AncestralStep:
    """Variances add up: down^2 + up^2 = sigma_next^2."""
    posterior = sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2
    up = min(sigma_next, eta * math.sqrt(posterior)) if eta else 0.0
    down = math.sqrt(sigma_next**2 - up**2)
    return AncestralStep(sigma, sigma_next, down, 1.0, up)


def flow_split(sigma: float, sigma_next: float, eta: float) -> AncestralStep:
    """Signal and noise both fade, so x is rescaled to the signal level of sigma_next."""
    down = sigma_next * (1 + (sigma_next / sigma - 1) * eta)
    scale = (1 - sigma_next) / (1 - down)
    up = math.sqrt(max(0.0, sigma_next**2 - down**2 * scale**2))
    return AncestralStep(sigma, sigma_next, down, scale, up)


def add_noise(x: Tensor, step: AncestralStep, noise: NoiseSampler, s_noise: float) -> Tensor:
    """Rescale x at the lower level and add the step's noise; nothing to do when it ends at 0."""
    if step.sigma_next <= 0:
        return x
    if step.scale != 1.0:
        x = x * step.scale
    if step.up == 0.0:
        return x
    return x + noise(step.sigma, step.sigma_next) * (s_noise * step.up)
