"""Lists of falling sigmas that need no model: between two bounds, or along shifted flow times.

All return float32 on the CPU.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from models.errors import InvalidInput


def then_zero(sigmas: Tensor) -> Tensor:
    """The list with a final 0."""
    return torch.cat([sigmas, sigmas.new_zeros(1)])


def _log(sigma: float) -> float:
    if sigma <= 0:
        raise InvalidInput(f"the ends of these noise levels must be above 0, not {sigma:g}")
    return math.log(sigma)


def karras(n: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """n sigmas at equal distances in sigma^(1/rho), and 0 (Karras et al. 2022, equation 5)."""
    if rho <= 0:
        raise InvalidInput(f"rho must be above 0, not {rho:g}")
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return then_zero((high + torch.linspace(0, 1, n) * (low - high)) ** rho)


def exponential(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """n sigmas at equal distances in the logarithm, and 0."""
    return then_zero(torch.linspace(_log(sigma_max), _log(sigma_min), n).exp())


def polyexponential(n: int, sigma_min: float, sigma_max: float, rho: float = 1.0) -> Tensor:
    """n sigmas along a power of a line in the logarithm, and 0."""
    low, high = _log(sigma_min), _log(sigma_max)
    return then_zero((torch.linspace(1, 0, n) ** rho * (high - low) + low).exp())


def laplace(
    n: int, sigma_min: float, sigma_max: float, mu: float = 0.0, beta: float = 0.5
) -> Tensor:
    """n sigmas at quantiles of a Laplace distribution of log sigma (Hang et al. 2024); no 0."""
    centred = 0.5 - torch.linspace(0, 1, n)
    spread = 1 - 2 * centred.abs() + 1e-5  # the ends of the distribution are infinitely far
    quantiles = mu - beta * centred.sign() * spread.log()
    return quantiles.exp().clamp(min=sigma_min, max=sigma_max)


def variance_preserving(
    n: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3
) -> Tensor:
    """n sigmas of the continuous VP process, and 0 (Song et al. 2021; Karras et al., table 1)."""
    t = torch.linspace(1, eps_s, n)
    return then_zero((beta_d * t**2 / 2 + beta_min * t).expm1().sqrt())


def kl_optimal(n: int, sigma_min: float, sigma_max: float) -> Tensor:
    """n sigmas at equal distances in atan sigma, and 0 (Sabour et al. 2024, theorem 3.1).

    NaN for a single step.
    """
    fraction = torch.arange(n) / (n - 1)
    low, high = math.atan(sigma_min), math.atan(sigma_max)
    return then_zero((fraction * low + (1 - fraction) * high).tan())


def shifted_flow_times(n: int, mu: float) -> Tensor:
    """n + 1 flow times from 1 to 0 at equal distances, bent by exp(mu) (Esser et al. 2024)."""
    bend = math.exp(mu)
    return bend / (bend + (1 / torch.linspace(1, 0, n + 1) - 1))


def ltxv_mu(tokens: int, *, base_shift: float = 0.95, max_shift: float = 2.05) -> float:
    """mu of LTX-Video (HaCohen et al. 2024): linear in the tokens, through 1024 and 4096."""
    return base_shift + (max_shift - base_shift) * (tokens - 1024) / (4096 - 1024)


def stretched(times: Tensor, terminal: float) -> Tensor:
    """Flow times whose last one before 0 is moved to `terminal`, all others with it."""
    signal = 1 - times[:-1]
    if signal[-1] != 0:  # but for a single time, which is 1
        signal = signal * ((1 - terminal) / signal[-1])
    return then_zero(1 - signal)


def flux2(n: int, width: int, height: int) -> Tensor:
    """n + 1 flow times of FLUX.2 for a picture of so many pixels.

    Black Forest Labs fitted mu to tokens and steps: lines in the tokens for 10 and for 200 steps,
    between which it is linear in the steps; large pictures have the second line alone.
    """
    tokens = width * height / (16 * 16)
    at_200 = 0.00016927 * tokens + 0.45666666
    if tokens > 4300:
        return shifted_flow_times(n, at_200)
    at_10 = 8.73809524e-05 * tokens + 1.89833333
    return shifted_flow_times(n, at_200 + (n - 200) * (at_200 - at_10) / 190)


_LOGIT_SNR: Final = (-7.5, 9.0)  # of the last and the first time of Ideogram 4


def logit_normal(n: int, mean: float, deviation: float) -> Tensor:
    """The flow times of Ideogram 4: n + 1 quantiles of a logit-normal distribution, from 1 to 0.

    The ends of the distribution are cut off at fixed logits.
    """
    quantiles = torch.special.ndtri(torch.linspace(0, 1, n + 1, dtype=torch.float64))
    low, high = _LOGIT_SNR
    times = (1 - torch.sigmoid(mean + deviation * quantiles)).clamp(
        1 / (1 + math.exp(high)), 1 / (1 + math.exp(low))
    )
    sigmas = (1 - times).flip(0).float()
    sigmas[-1] = 0
    return sigmas
