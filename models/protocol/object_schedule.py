"""`model_sampling` objects as schedules of ours, and the other way round."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from models.protocol.model_sampling import (
    CONST,
    COSMOS_RFLOW,
    EDM,
    EPS,
    V_PREDICTION,
    X0,
    ModelSamplingContinuousEDM,
    ModelSamplingContinuousV,
    ModelSamplingDiscrete,
    ModelSamplingDiscreteFlow,
    ModelSamplingFlux,
)
from models.sampling.continuous import AngleSchedule, EdmSchedule
from models.sampling.prediction import (
    AdditiveFlow,
    Clean,
    Epsilon,
    Flow,
    Preconditioned,
    Velocity,
)
from models.sampling.schedule import DiscreteSchedule, FlowSchedule, FluxSchedule, Schedule


class ObjectPrediction:
    """A `model_sampling` object as models.sampling's Prediction."""

    def __init__(self, sampling: Any) -> None:
        self._sampling = sampling

    @property
    def is_flow(self) -> bool:
        """Whether it mixes noise as rectified flows do."""
        return isinstance(self._sampling, CONST)

    def scale_input(self, x: Tensor, sigma: float | Tensor) -> Tensor:
        result: Tensor = self._sampling.calculate_input(_level(sigma, x), x)
        return result

    def denoised(self, x: Tensor, sigma: float | Tensor, output: Tensor) -> Tensor:
        result: Tensor = self._sampling.calculate_denoised(_level(sigma, x), output, x)
        return result

    def noise_latent(
        self, latent: Tensor, noise: Tensor, sigma: float | Tensor, at_max: bool
    ) -> Tensor:
        level = _level(sigma, noise)
        result: Tensor = self._sampling.noise_scaling(level, noise, latent, at_max)
        return result

    def finish(self, latent: Tensor, last_sigma: float | Tensor) -> Tensor:
        result: Tensor = self._sampling.inverse_noise_scaling(_level(last_sigma, latent), latent)
        return result


def _level(sigma: float | Tensor, x: Tensor) -> Tensor:
    return sigma.flatten() if isinstance(sigma, Tensor) else x.new_tensor(sigma)


class ObjectSchedule(Schedule):
    """A `model_sampling` object as models.sampling's Schedule."""

    def __init__(self, sampling: Any) -> None:
        super().__init__(sampling.sigmas.detach().cpu(), ObjectPrediction(sampling))
        self.sampling = sampling

    def timestep(self, sigma: Tensor) -> Tensor:
        result: Tensor = self.sampling.timestep(sigma)
        return result

    def sigma(self, timestep: Tensor) -> Tensor:
        result: Tensor = self.sampling.sigma(timestep)
        return result

    def percent_to_sigma(self, percent: float) -> float:
        return float(self.sampling.percent_to_sigma(percent))


_PREDICTIONS: dict[type, type] = {
    Epsilon: EPS,
    Velocity: V_PREDICTION,
    Preconditioned: EDM,
    Clean: X0,
    Flow: CONST,
    AdditiveFlow: COSMOS_RFLOW,
}


def sampling_object(schedule: Schedule) -> Any:
    """The `model_sampling` object of one of our schedules."""
    if isinstance(schedule, ObjectSchedule):
        return schedule.sampling
    prediction = _PREDICTIONS[type(schedule.prediction)]
    if isinstance(schedule, FluxSchedule):
        sampling: Any = _made(ModelSamplingFlux, prediction)()
        sampling.set_parameters(shift=schedule.mu)
    elif isinstance(schedule, FlowSchedule):
        sampling = _made(ModelSamplingDiscreteFlow, prediction)()
        sampling.set_parameters(shift=schedule.shift, multiplier=schedule.multiplier)
    elif isinstance(schedule, EdmSchedule | AngleSchedule):
        is_angle = isinstance(schedule, AngleSchedule)
        table = ModelSamplingContinuousV if is_angle else ModelSamplingContinuousEDM
        sampling = _made(table, prediction)()
        data = getattr(schedule.prediction, "sigma_data", 1.0)
        sampling.set_parameters(schedule.sigma_min, schedule.sigma_max, data)
        sampling._schedule = schedule
    elif isinstance(schedule, DiscreteSchedule):
        sampling = _made(ModelSamplingDiscrete, prediction)()
        sampling.set_sigmas(schedule.sigmas)
        sampling._schedule = schedule
        sampling.log_sigmas = schedule.log_sigmas
    else:
        raise NotImplementedError(f"no model_sampling object for {type(schedule).__name__}")
    return sampling


def _made(table: type, prediction: type) -> type:
    return type("ModelSampling", (table, prediction), {})
