"""What a network's raw output means: how it becomes a prediction of the clean latent.

All functions take x [B, C, ...] and sigma, a float or a tensor that broadcasts against x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

Sigma = float | Tensor


class Prediction(Protocol):
    """The parametrisation of a denoising network and of its noising process."""

    @property
    def is_flow(self) -> bool:
        """Whether x is an interpolation ``sigma noise + (1 - sigma) latent``."""

    def scale_input(self, x: Tensor, sigma: Sigma) -> Tensor:
        """What the network expects to see for the noisy latent x."""

    def denoised(self, x: Tensor, sigma: Sigma, output: Tensor) -> Tensor:
        """The clean latent, given the noisy x and the network's output."""

    def noise_latent(self, latent: Tensor, noise: Tensor, sigma: Sigma, at_max: bool) -> Tensor:
        """The latent at noise level sigma; at_max says that sigma is the schedule's largest."""

    def finish(self, latent: Tensor, last_sigma: Sigma) -> Tensor:
        """Undo what noise_latent did to the latent's scale."""


def _root(value: Sigma) -> Sigma:
    return value.sqrt() if isinstance(value, Tensor) else math.sqrt(value)


@dataclass(frozen=True)
class _Additive:
    """x = latent + sigma noise, seen by the network at a fixed standard deviation."""

    sigma_data: float = 1.0  # standard deviation of clean latents

    is_flow = False

    def scale_input(self, x: Tensor, sigma: Sigma) -> Tensor:
        return x / _root(sigma**2 + self.sigma_data**2)

    def noise_latent(self, latent: Tensor, noise: Tensor, sigma: Sigma, at_max: bool) -> Tensor:
        # At the largest sigma the latent is taken to be unit noise too, so variances add up.
        amount = _root(1.0 + sigma**2) if at_max else sigma
        return noise * amount + latent

    def finish(self, latent: Tensor, last_sigma: Sigma) -> Tensor:
        return latent


@dataclass(frozen=True)
class Epsilon(_Additive):
    """The network predicts the noise (Ho et al. 2020)."""

    def denoised(self, x: Tensor, sigma: Sigma, output: Tensor) -> Tensor:
        return x - output * sigma


@dataclass(frozen=True)
class Velocity(_Additive):
    """The network predicts v (Salimans and Ho 2022)."""

    def denoised(self, x: Tensor, sigma: Sigma, output: Tensor) -> Tensor:
        data = self.sigma_data**2
        variance = sigma**2 + data
        return x * (data / variance) - output * (sigma * self.sigma_data / _root(variance))


@dataclass(frozen=True)
class Preconditioned(_Additive):
    """The network is the F of Karras et al. 2022 (EDM): v with the sign turned."""

    def denoised(self, x: Tensor, sigma: Sigma, output: Tensor) -> Tensor:
        data = self.sigma_data**2
        variance = sigma**2 + data
        return x * (data / variance) + output * (sigma * self.sigma_data / _root(variance))


@dataclass(frozen=True)
class Clean(_Additive):
    """The network predicts the clean latent itself."""

    def denoised(self, x: Tensor, sigma: Sigma, output: Tensor) -> Tensor:
        return output


@dataclass(frozen=True)
class Flow:
    """Rectified flow: the network predicts noise - latent (Lipman et al. 2022, Liu et al. 2022)."""

    is_flow = True

    def scale_input(self, x: Tensor, sigma: Sigma) -> Tensor:
        return x

    def denoised(self, x: Tensor, sigma: Sigma, output: Tensor) -> Tensor:
        return x - output * sigma

    def noise_latent(self, latent: Tensor, noise: Tensor, sigma: Sigma, at_max: bool) -> Tensor:
        return noise * sigma + latent * (1.0 - sigma)

    def finish(self, latent: Tensor, last_sigma: Sigma) -> Tensor:
        return latent / (1.0 - last_sigma)


@dataclass(frozen=True)
class AdditiveFlow(_Additive):
    """A rectified flow network used on x = latent + sigma noise (Cosmos).

    With t = sigma / (sigma + 1) the network sees (1 - t) x and predicts noise - latent.
    """

    def scale_input(self, x: Tensor, sigma: Sigma) -> Tensor:
        return x * (1.0 / (sigma + 1.0))

    def denoised(self, x: Tensor, sigma: Sigma, output: Tensor) -> Tensor:
        t = sigma / (sigma + 1.0)
        return x * (1.0 - t) - output * t

    def noise_latent(self, latent: Tensor, noise: Tensor, sigma: Sigma, at_max: bool) -> Tensor:
        return noise * sigma + latent


def broadcast(sigma: Tensor, x: Tensor) -> Tensor:
    """Shape sigma [B] so that it multiplies x [B, C, ...]."""
    return sigma.reshape(sigma.shape[:1] + (1,) * (x.ndim - 1)) if sigma.ndim else sigma


EPSILON = Epsilon()
VELOCITY = Velocity()
FLOW = Flow()
