"""Schedules of continuous-time models: EDM, continuous v-prediction and Stable Cascade."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.sampling.prediction import EPSILON, Prediction
from models.sampling.schedule import BEYOND_MAX, Schedule


class LogSchedule(Schedule):
    """Sigmas equally spaced in the logarithm between two bounds."""

    def __init__(self, sigma_min: float, sigma_max: float, prediction: Prediction) -> None:
        self._log_min, self._log_max = math.log(sigma_min), math.log(sigma_max)
        sigmas = torch.linspace(self._log_min, self._log_max, 1000).exp()
        super().__init__(sigmas, prediction)

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0.0:
            return BEYOND_MAX
        if percent >= 1.0:
            return 0.0
        return math.exp(self._log_min + (1.0 - percent) * (self._log_max - self._log_min))


class EdmSchedule(LogSchedule):
    """The network is told a quarter of log sigma (Karras et al. 2022, table 1)."""

    def timestep(self, sigma: Tensor) -> Tensor:
        return 0.25 * sigma.log()

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep / 0.25).exp()


class AngleSchedule(LogSchedule):
    """The network is told the angle between signal and noise, as a fraction of a right angle."""

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma.atan() / math.pi * 2

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep * math.pi / 2).tan()


class OddsSchedule(LogSchedule):
    """The network is told the flow time sigma / (sigma + 1)."""

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma / (sigma + 1)

    def sigma(self, timestep: Tensor) -> Tensor:
        return timestep / (1 - timestep)


class CosineSchedule(Schedule):
    """The cosine schedule (Nichol and Dhariwal 2021) with a log-SNR shift (Stable Cascade)."""

    OFFSET = 8e-3
    BOUND = 0.0001  # signal power stays this far from 0 and 1

    def __init__(self, shift: float = 1.0, prediction: Prediction = EPSILON) -> None:
        self.shift = shift
        # In float32 as all below: near signal power 1 the rounding shows in sigma.
        self._first = torch.tensor(self.OFFSET / (1 + self.OFFSET) * math.pi * 0.5).cos() ** 2
        super().__init__(self.sigma(torch.arange(1, 10001) / 10000), prediction)

    def sigma(self, timestep: Tensor) -> Tensor:
        angle = (timestep + self.OFFSET) / (1 + self.OFFSET) * (math.pi / 2)
        signal = angle.cos() ** 2 / self._first
        if self.shift != 1.0:
            log_snr = (signal / (1 - signal)).log() + 2 * math.log(1 / self.shift)
            signal = log_snr.sigmoid()
        signal = signal.clamp(self.BOUND, 1 - self.BOUND)
        return ((1 - signal) / signal).sqrt()

    def timestep(self, sigma: Tensor) -> Tensor:
        """The time of the given level on the unshifted curve that the network was trained with."""
        signal = 1 / (sigma**2 + 1)
        angle = (signal * self._first).clamp(0, 1).sqrt().acos()
        return angle / (math.pi / 2) * (1 + self.OFFSET) - self.OFFSET

    def percent_to_sigma(self, percent: float) -> float:
        if percent <= 0.0:
            return BEYOND_MAX
        if percent >= 1.0:
            return 0.0
        return float(self.sigma(torch.tensor(1.0 - percent)))
