"""UniPC: unified predictor-corrector multistep sampling (Zhao et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from models.sampling.noise import NoiseSampler
from models.sampling.samplers.sampler import Callback, Denoiser

MAX_ORDER = 3


def sample_uni_pc(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: NoiseSampler,
    callback: Callback,
    *,
    variant: Literal["bh1", "bh2"] = "bh1",
) -> Tensor:
    """UniPC-p for data prediction (algorithms 5 and 6) with lambda = -log sigma.

    The prediction at the end of a step corrects that step and starts the next one. Orders rise
    from 1 and fall again to 1 for the last step, which is not corrected. No sigma may be 0.

    The order is below the number of steps, so a single step has order 0, as in ComfyUI: x is
    only rescaled between the unit variances of the two noise levels.
    """
    steps = len(sigmas) - 1
    order = min(MAX_ORDER, steps - 1)
    denoised = denoise(x, sigmas[0])
    callback(0, x, denoised)
    if order == 0:
        return x * math.sqrt((1 + sigmas[1] ** 2) / (1 + sigmas[0] ** 2))
    levels = [_rounded(sigma) for sigma in sigmas]
    history = [(levels[0], denoised)]  # newest first
    for i in range(1, steps + 1):
        step = _Step(history, levels[i], min(i, order, steps + 1 - i), variant)
        predicted = step.predict(x)
        if i == steps:
            return predicted
        denoised = denoise(predicted, sigmas[i])
        x = step.correct(x, denoised)
        callback(i, x, denoised)
        history = [(levels[i], denoised), *history[: order - 1]]
    return x


def _rounded(sigma: float) -> float:
    """Sigma by way of the signal's variance in single precision, where 0.001 is 0.0009766.

    The method is defined on variance preserving chains; this rounding of the last sigma shows
    in pictures, so it is kept.
    """
    power = np.float32(1) / (np.float32(1) + np.float32(sigma) ** 2)
    return float(np.sqrt((np.float32(1) - power) / power))


class _Step:
    """One step of order p over the p newest predictions."""

    def __init__(
        self,
        history: Sequence[tuple[float, Tensor]],
        sigma_next: float,
        order: int,
        variant: Literal["bh1", "bh2"],
    ) -> None:
        sigma, self.newest = history[0]
        h = math.log(sigma / sigma_next)
        older = history[1:order]
        self.r = [math.log(sigma / past) / h for past, _ in older]
        if 0 in self.r:
            raise ZeroDivisionError("two levels are the same")
        self.differences = [
            (denoised - self.newest) / r for (_, denoised), r in zip(older, self.r, strict=True)
        ]
        self.keep = sigma_next / sigma
        self.h = h
        self.scale = -h if variant == "bh1" else math.expm1(-h)  # B(h)

    def predict(self, x: Tensor) -> Tensor:
        """UniP: from the predictions known before the step."""
        result = self._base(x)
        if self.differences:
            weights = [0.5] if len(self.r) == 1 else self._weights(self.r)
            result = self._add(result, weights, self.differences)
        return result

    def correct(self, x: Tensor, denoised: Tensor) -> Tensor:
        """UniC: with the prediction at the end of the step too."""
        points = [*self.r, 1.0]
        weights = [0.5] if len(points) == 1 else self._weights(points)
        return self._add(self._base(x), weights, [*self.differences, denoised - self.newest])

    def _base(self, x: Tensor) -> Tensor:
        return x * self.keep - self.newest * math.expm1(-self.h)

    def _add(self, x: Tensor, weights: Sequence[float], differences: Sequence[Tensor]) -> Tensor:
        for weight, difference in zip(weights, differences, strict=True):
            x = x - difference * (self.scale * weight)
        return x

    def _weights(self, points: Sequence[float]) -> list[float]:
        """Solve R a = b of equation 5: exact for polynomials through the points r."""
        h = -self.h
        phi = math.expm1(h) / h - 1
        factorial = 1.0
        rows, targets = [], []
        for k in range(len(points)):
            rows.append([r**k for r in points])
            targets.append(phi * factorial / self.scale)
            factorial *= k + 2
            phi = phi / h - 1 / factorial
        solution: list[float] = np.linalg.solve(np.array(rows), np.array(targets)).tolist()
        return solution
