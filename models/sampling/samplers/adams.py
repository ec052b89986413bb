"""Linear multistep methods in sigma: LMS, iPNDM and DEIS.

All extrapolate the slope d = (x - D) / sigma of the probability flow ODE from earlier steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.sampler import Callback, Denoiser

# Adams-Bashforth weights for equal steps, newest slope first.
EQUAL_STEPS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


def lagrange_integrals(nodes: Sequence[float], start: float, end: float) -> list[float]:
    """Integrals from start to end of the polynomials that are 1 at one node and 0 at the others."""
    integrals = []
    for j, node in enumerate(nodes):
        # Around the start, so that large sigmas do not cancel digits.
        basis = Polynomial([1.0])
        for k, other in enumerate(nodes):
            if k != j:
                basis *= Polynomial([start - other, 1.0]) / (node - other)
        integrals.append(float(basis.integ()(end - start)))
    return integrals


def _weighted(slopes: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    total = slopes[0] * weights[0]
    for slope, weight in zip(slopes[1:], weights[1:], strict=True):
        total = total + slope * weight
    return total


def _unequal_steps(h: Sequence[float]) -> tuple[float, ...]:
    """The weights of iPNDM-v for a step h[0] after steps h[1], h[2], ..., newest slope first.

    These are the weights that the method was published with and that pictures depend on. Beyond
    second order they differ from Adams-Bashforth: `bend` takes the ratio of steps inside the
    bracket, and the last weight has h1 / h2 for h2 / h3.
    """
    h0, h1 = h[0], h[1]
    half = h0 / h1 / 2
    if len(h) == 2:
        return 1 + half, -half
    h2 = h[2]
    r = h1 / h2
    third = h0 / (3 * (h0 + h1))
    bend = (1 - third * (h0 * (h0 + h1)) / (h1 * (h1 + h2))) / 2
    if len(h) == 3:
        return 1 + half + bend, -half - (1 + r) * bend, r * bend
    h3 = h[3]
    sixth = h0 / (6 * (h0 + h1 + h2))
    ratio = h0 * (h0 + h1) * (h0 + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3))
    twist = ((1 - third) / 2 + (1 - h0 / (2 * (h0 + h1))) * sixth) * ratio
    w = h1 * (h1 + h2) / (h2 * (h2 + h3))
    return (
        1 + half + bend + twist,
        -half - (1 + r) * bend - (1 + r + w) * twist,
        r * bend + (r + w * (1 + h2 / h3)) * twist,
        -w * r * twist,
    )


def sample_lms(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    order: int = 4,
) -> Tensor:
    """Adams-Bashforth with exact weights for unequal steps."""
    slopes: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        slopes = [(x - denoised) / sigma, *slopes[: order - 1]]
        nodes = [sigmas[i - k] for k in range(len(slopes))]
        x = x + _weighted(slopes, lagrange_integrals(nodes, sigma, sigma_next))
    return x


def sample_ipndm(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    max_order: int = 4,
) -> Tensor:
    """iPNDM (Zhang and Chen 2022): Adams-Bashforth as if steps were equal."""
    slopes: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        slopes = [(x - denoised) / sigma, *slopes[: max_order - 1]]
        x = x + _weighted(slopes, EQUAL_STEPS[len(slopes) - 1]) * (sigma_next - sigma)
    return x


def sample_ipndm_v(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    max_order: int = 4,
) -> Tensor:
    """iPNDM with weights for unequal steps (Zhou et al. 2024, iPNDM-v)."""
    slopes: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        slopes = [(x - denoised) / sigma, *slopes[: max_order - 1]]
        steps = [sigmas[i - k + 1] - sigmas[i - k] for k in range(len(slopes))]
        weights = _unequal_steps(steps) if len(steps) > 1 else (1.0,)
        x = x + _weighted(slopes, weights) * steps[0]
    return x


class VariancePreservingTime:
    """The time of a linear VP SDE that spans 0.002 to 80 (Karras et al. 2022, appendix C)."""

    SIGMA_MIN, SIGMA_MAX, EPSILON = 0.002, 80.0, 1e-3

    def __init__(self) -> None:
        low, high = math.log1p(self.SIGMA_MIN**2), math.log1p(self.SIGMA_MAX**2)
        self._slope = 2 * (low / self.EPSILON - high) / (self.EPSILON - 1)
        self._start = high - self._slope / 2

    def of(self, sigma: float) -> float:
        """The time at which the SDE has this noise level."""
        root = math.sqrt(self._start**2 + 2 * self._slope * math.log1p(sigma**2))
        return (root - self._start) / self._slope

    def growth(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """d sigma / d t."""
        power = np.exp(self._slope / 2 * t**2 + self._start * t)
        rate: NDArray[np.float64] = (self._slope * t + self._start) * power / 2 / np.sqrt(power - 1)
        return rate


VP_TIME = VariancePreservingTime()
POINTS = 10000  # of DEIS's Riemann sums


@np.errstate(divide="raise", invalid="raise")  # for levels that repeat
def _deis_weights(nodes: Sequence[float], sigma_next: float) -> list[float]:
    """Integrals over d sigma of the Lagrange polynomials in VP time through the nodes."""
    times = [VP_TIME.of(node) for node in nodes]
    end = VP_TIME.of(sigma_next)
    places = np.linspace(times[0], end, POINTS)
    growth = VP_TIME.growth(places) * ((end - times[0]) / POINTS)
    weights = []
    for j, time in enumerate(times):
        basis = np.ones_like(places)
        for k, other in enumerate(times):
            if k != j:
                basis = basis * (places - other) / (time - other)
        weights.append(float(np.sum(basis * growth)))
    return weights


def sample_deis(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    max_order: int = 3,
) -> Tensor:
    """tAB-DEIS (Zhang and Chen 2022): slopes are polynomials in the time of a VP SDE."""
    slopes: list[Tensor] = []
    for i, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        denoised = denoise(x, sigma)
        callback(i, x, denoised)
        if sigma_next == 0:
            return denoised
        slopes = [(x - denoised) / sigma, *slopes[: max_order - 1]]
        nodes = [sigmas[i - k] for k in range(len(slopes))]
        weights = _deis_weights(nodes, sigma_next) if i else [sigma_next - sigma]
        x = x + _weighted(slopes, weights)
    return x
