"""Noise schedules: which sigmas a model knows, and how sigma and its timestep correspond."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cached_property

import torch
from torch import Tensor

from models.sampling.prediction import EPSILON, FLOW, Prediction, Sigma, broadcast

BEYOND_MAX = 999999999.9  # the sigma of "from the very start" where noise has no upper bound


class Schedule(ABC):
    """The noise levels of a model together with its parametrisation.

    Tensors x are [B, C, ...]; sigma is a float or one value per batch item.
    """

    def __init__(self, sigmas: Tensor, prediction: Prediction) -> None:
        self.sigmas = sigmas.float()  # all known noise levels, ascending, on the CPU
        self.prediction = prediction

    @abstractmethod
    def timestep(self, sigma: Tensor) -> Tensor:
        """The time that the network is told for each sigma."""

    @abstractmethod
    def sigma(self, timestep: Tensor) -> Tensor:
        """The noise level at each time."""

    @abstractmethod
    def percent_to_sigma(self, percent: float) -> float:
        """The noise level after a fraction of the schedule, 0 being the start (pure noise)."""

    @cached_property
    def sigma_min(self) -> float:
        """The smallest known noise level."""
        return float(self.sigmas[0])

    @cached_property
    def sigma_max(self) -> float:
        """The largest known noise level."""
        return float(self.sigmas[-1])

    @property
    def is_flow(self) -> bool:
        """Whether noisy latents are ``sigma noise + (1 - sigma) latent``."""
        return self.prediction.is_flow

    def is_max(self, sigma: float) -> bool:
        """Whether sigma is the largest level, within rounding, or beyond it."""
        return sigma > self.sigma_max or math.isclose(sigma, self.sigma_max, rel_tol=1e-5)

    def scale_input(self, x: Tensor, sigma: Sigma) -> Tensor:
        """What the network expects to see for the noisy latent x."""
        return self.prediction.scale_input(x, _fit(sigma, x))

    def denoised(self, x: Tensor, sigma: Sigma, output: Tensor) -> Tensor:
        """The clean latent, given the noisy x and the network's raw output."""
        return self.prediction.denoised(x, _fit(sigma, x), output)

    def noise_latent(
        self, latent: Tensor, noise: Tensor, sigma: Sigma, at_max: bool = False
    ) -> Tensor:
        """The latent at noise level sigma; at_max as told by `is_max`."""
        return self.prediction.noise_latent(latent, noise, _fit(sigma, noise), at_max)

    def finish(self, latent: Tensor, last_sigma: Sigma) -> Tensor:
        """Undo what noise_latent did to the latent's scale, at the end of sampling."""
        return self.prediction.finish(latent, _fit(last_sigma, latent))


def _fit(sigma: Sigma, x: Tensor) -> Sigma:
    return broadcast(sigma, x) if isinstance(sigma, Tensor) else sigma


def scaled_linear_betas(start: float = 0.00085, end: float = 0.012, count: int = 1000) -> Tensor:
    """Betas whose square roots are equally spaced (latent diffusion), float64 [count]."""
    return torch.linspace(start**0.5, end**0.5, count, dtype=torch.float64) ** 2


def sigmas_from_betas(betas: Tensor) -> Tensor:
    """The noise-to-signal ratio after each step of a variance preserving chain."""
    signal = torch.cumprod(1.0 - betas, dim=0)
    return ((1.0 - signal) / signal).sqrt()


def zero_terminal_snr(sigmas: Tensor) -> Tensor:
    """Rescale a schedule to end in (almost) pure noise (Lin et al. 2023, algorithm 1).

    The last signal level stays just above zero, so that the last sigma is finite.
    """
    signal = (1.0 / (sigmas**2 + 1.0)).sqrt()
    first, last = signal[0].clone(), signal[-1].clone()
    signal = (signal - last) * (first / (first - last))
    power = signal**2
    power[-1] = 4.8973451890853435e-08
    return ((1.0 - power) / power).sqrt()


class DiscreteSchedule(Schedule):
    """A table of sigmas whose timesteps are their indices (DDPM and its relatives)."""

    def __init__(self, sigmas: Tensor | None = None, prediction: Prediction = EPSILON) -> None:
        table = sigmas_from_betas(scaled_linear_betas()) if sigmas is None else sigmas
        super().__init__(table, prediction)
        # Rounded after the logarithm, not before: schedulers agree to the last bit this way.
        self._log_sigmas = {torch.device("cpu"): table.log().float()}

    @classmethod
    def scaled_linear(
        cls, prediction: Prediction = EPSILON, *, zero_snr: bool = False
    ) -> DiscreteSchedule:
        """The table of Stable Diffusion 1, 2 and XL."""
        sigmas = sigmas_from_betas(scaled_linear_betas())
        return cls(zero_terminal_snr(sigmas) if zero_snr else sigmas, prediction)

    @property
    def is_zero_snr(self) -> bool:
        """Whether it ends in (almost) pure noise; see `zero_terminal_snr`."""
        return self.sigma_max > 1000

    @property
    def log_sigmas(self) -> Tensor:
        """The logarithms of all known noise levels, on the CPU."""
        return self._log_sigmas[torch.device("cpu")]

    def timestep(self, sigma: Tensor) -> Tensor:
        """The index of the nearest log sigma, int64 on sigma's device."""
        table = self._table(sigma.device)
        distance = (sigma.log().unsqueeze(0) - table.reshape(-1, *[1] * sigma.ndim)).abs()
        return distance.argmin(dim=0)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Sigma with log sigma interpolated linearly between indices."""
        table = self._table(timestep.device)
        t = timestep.float().clamp(min=0, max=len(table) - 1)
        low = t.floor().long()
        high = t.ceil().long()
        weight = t.frac()
        return ((1 - weight) * table[low] + weight * table[high]).exp()

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0.0:
            return BEYOND_MAX
        if percent >= 1.0:
            return 0.0
        return float(self.sigma(torch.tensor((1.0 - percent) * (len(self.sigmas) - 1))))

    def _table(self, device: torch.device) -> Tensor:
        if device not in self._log_sigmas:
            self._log_sigmas[device] = self._log_sigmas[torch.device("cpu")].to(device)
        return self._log_sigmas[device]


class FlowSchedule(Schedule):
    """Rectified flow times bent by a shift (Esser et al. 2024, equation 23)."""

    def __init__(
        self, shift: float = 1.0, multiplier: float = 1000.0, prediction: Prediction = FLOW
    ) -> None:
        self.shift = shift
        self.multiplier = multiplier
        super().__init__(self._bend(torch.arange(1, 1001) / 1000), prediction)

    def _bend(self, u: Tensor) -> Tensor:
        return self.shift * u / (1 + (self.shift - 1) * u)

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma * self.multiplier

    def sigma(self, timestep: Tensor) -> Tensor:
        return self._bend(timestep / self.multiplier)

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0.0:
            return 1.0
        if percent >= 1.0:
            return 0.0
        u = 1.0 - percent
        return self.shift * u / (1 + (self.shift - 1) * u)


class FluxSchedule(Schedule):
    """Rectified flow times bent by exp(mu), as Flux does; the network is told sigma itself."""

    def __init__(self, mu: float = 1.15, prediction: Prediction = FLOW) -> None:
        self.mu = mu
        super().__init__(self.sigma(torch.arange(1, 10001) / 10000), prediction)

    @staticmethod
    def mu_for(
        width: int, height: int, *, base_shift: float = 0.5, max_shift: float = 1.15
    ) -> float:
        """mu for a picture of so many pixels: linear in its tokens, through 256 and 4096."""
        slope = (max_shift - base_shift) / (4096 - 256)
        return (width / 16) * (height / 16) * slope + base_shift - slope * 256

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma

    def sigma(self, timestep: Tensor) -> Tensor:
        bend = math.exp(self.mu)
        return bend / (bend + (1 / timestep - 1))

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0.0:
            return 1.0
        if percent >= 1.0:
            return 0.0
        bend = math.exp(self.mu)
        return bend / (bend + (1 / (1.0 - percent) - 1))
