"""Churn: raise the noise level a little before each step (Karras et al. 2022, algorithm 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from models.sampling.noise import NoiseSampler

MOST = math.sqrt(2) - 1  # gamma, so that at most as much noise is added as there is


@dataclass(frozen=True)
class Churn:
    """How much noise is added on the way, and between which levels."""

    s_churn: float  # over the whole run
    s_tmin: float
    s_tmax: float
    s_noise: float  # scale of the noise added

    def raised(
        self, x: Tensor, sigma: float, steps: int, noise: NoiseSampler
    ) -> tuple[Tensor, float]:
        """x at a higher level, and that level; steps are those of the run."""
        gamma = min(self.s_churn / steps, MOST) if self.s_tmin <= sigma <= self.s_tmax else 0.0
        if gamma <= 0:
            return x, sigma
        sigma_hat = sigma * (1 + gamma)
        spread = math.sqrt(sigma_hat**2 - sigma**2)
        return x + noise(sigma, sigma_hat) * (self.s_noise * spread), sigma_hat
