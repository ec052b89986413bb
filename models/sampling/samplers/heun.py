"""Heun's method: a second evaluation at the end of each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.churn import Churn
from models.sampling.samplers.sampler import Callback, Denoiser


def sample_heun(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = math.inf,
    s_noise: float = 1.0,
) -> Tensor:
    """The second order method of Karras et al. 2022, algorithm 2."""
    churn = Churn(s_churn, s_tmin, s_tmax, s_noise)
    for i, (level, sigma_next) in enumerate(pairwise(sigmas)):
        x, sigma = churn.raised(x, level, len(sigmas) - 1, noise)
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        d = (x - denoised) / sigma
        x_2 = x + d * (sigma_next - sigma)
        d_2 = (x_2 - denoise(x_2, sigma_next)) / sigma_next
        x = x + (d + d_2) * ((sigma_next - sigma) / 2)
    return x


def sample_heunpp2(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
) -> Tensor:
    """Heun's method looking up to two steps ahead, slopes weighted by their sigma.

    With the first sigma as unit, a slope at sigma_k weighs sigma_k / (n sigma_0), n being the
    number of slopes, and the slope at hand takes the rest.
    """
    last = len(sigmas) - 1
    for i in range(last):
        denoised = denoise(x, sigmas[i])
        callback(i, x, denoised)
        if sigmas[i + 1] == 0:
            return denoised
        dt = sigmas[i + 1] - sigmas[i]
        slopes = [(x - denoised) / sigmas[i]]
        ahead = x
        for j in range(i + 1, min(i + 3, last + 1)):
            if sigmas[j] == 0:
                break
            ahead = ahead + slopes[-1] * (sigmas[j] - sigmas[j - 1])
            slopes.append((ahead - denoise(ahead, sigmas[j])) / sigmas[j])
        unit = len(slopes) * sigmas[0]
        weights = [sigmas[i + k] / unit for k in range(1, len(slopes))]
        d = slopes[0] * (1 - sum(weights))
        for weight, slope in zip(weights, slopes[1:], strict=True):
            d = d + slope * weight
        x = x + d * dt
    return x
