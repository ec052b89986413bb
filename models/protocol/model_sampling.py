"""`model_sampling` objects: a model's noise levels and parametrisation as packs know them.

A class is made of a prediction (EPS, V_PREDICTION, CONST, ...) and a table of sigmas
(ModelSamplingDiscrete, ...). Packs subclass both and put the object in with
``add_object_patch("model_sampling", ...)``. Formulas are models.sampling's.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from models.sampling.continuous import CosineSchedule, EdmSchedule
from models.sampling.prediction import (
    AdditiveFlow,
    Clean,
    Epsilon,
    Flow,
    Preconditioned,
    Prediction,
    Velocity,
)
from models.sampling.schedule import (
    BEYOND_MAX,
    DiscreteSchedule,
    FlowSchedule,
    FluxSchedule,
    Schedule,
    scaled_linear_betas,
    sigmas_from_betas,
    zero_terminal_snr,
)


def reshape_sigma(sigma: Tensor, noise_dim: int) -> Tensor:
    """Sigma [B] or [1] with as many axes as a latent has."""
    if sigma.nelement() == 1:
        return sigma.reshape(())
    return sigma.reshape(sigma.shape[:1] + (1,) * (noise_dim - 1))


def rescale_zero_terminal_snr_sigmas(sigmas: Tensor) -> Tensor:
    """Sigmas of a schedule that ends in pure noise."""
    return zero_terminal_snr(sigmas)


class _Predicts:
    """Shared by all predictions: each names its formulas."""

    sigma_data: float = 1.0

    def prediction(self) -> Prediction:
        """The formulas, with this object's standard deviation of data."""
        raise NotImplementedError

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        """What the network expects to see for a noisy latent."""
        return self.prediction().scale_input(noise, reshape_sigma(sigma, noise.ndim))

    def calculate_denoised(
        self, sigma: Tensor, model_output: Tensor, model_input: Tensor
    ) -> Tensor:
        """The clean latent, from what the network says of the noisy one."""
        level = reshape_sigma(sigma, model_output.ndim)
        return self.prediction().denoised(model_input, level, model_output)

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        """The latent at a noise level."""
        level = reshape_sigma(sigma, noise.ndim)
        return self.prediction().noise_latent(latent_image, noise, level, max_denoise)

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """The end of a run: undo what noise_scaling did to the latent's scale."""
        return self.prediction().finish(latent, reshape_sigma(sigma, latent.ndim))


class EPS(_Predicts):
    """The network predicts the noise."""

    def prediction(self) -> Prediction:
        return Epsilon(self.sigma_data)


class V_PREDICTION(EPS):
    """The network predicts v."""

    def prediction(self) -> Prediction:
        return Velocity(self.sigma_data)


class EDM(V_PREDICTION):
    """The network is the F of Karras et al. 2022."""

    def prediction(self) -> Prediction:
        return Preconditioned(self.sigma_data)


class X0(EPS):
    """The network predicts the clean latent."""

    def prediction(self) -> Prediction:
        return Clean(self.sigma_data)


class CONST(_Predicts):
    """Rectified flow."""

    def prediction(self) -> Prediction:
        return Flow()


class IMG_TO_IMG(X0):
    """The network makes the picture in one step; it sees its input as it is."""

    def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
        return noise


class IMG_TO_IMG_VELOCITY(IMG_TO_IMG):
    """The same for a network that says how the picture that it sees differs from what it makes."""

    def calculate_denoised(
        self, sigma: Tensor, model_output: Tensor, model_input: Tensor
    ) -> Tensor:
        return model_input - model_output


class COSMOS_RFLOW(_Predicts):
    """Rectified flow on latents with noise added."""

    def prediction(self) -> Prediction:
        return AdditiveFlow(self.sigma_data)


def _settings(model_config: Any) -> dict[str, Any]:
    return dict(getattr(model_config, "sampling_settings", None) or {})


class _Table(nn.Module):
    """A table of sigmas, ascending."""

    sigmas: Tensor

    @property
    def sigma_min(self) -> Tensor:
        """The smallest noise level."""
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        """The largest noise level."""
        return self.sigmas[-1]

    def _keep(self, sigmas: Tensor) -> None:
        self.register_buffer("sigmas", sigmas.float())


class ModelSamplingDiscrete(_Table):
    """A table whose timesteps are its indices."""

    log_sigmas: Tensor

    def __init__(self, model_config: Any = None, zsnr: bool | None = None) -> None:
        super().__init__()
        settings = _settings(model_config)
        self.zsnr = bool(settings.get("zsnr", False)) if zsnr is None else zsnr
        self._register_schedule(
            beta_schedule=settings.get("beta_schedule", "linear"),
            timesteps=settings.get("timesteps", 1000),
            linear_start=settings.get("linear_start", 0.00085),
            linear_end=settings.get("linear_end", 0.012),
        )
        self.sigma_data = 1.0

    def _register_schedule(
        self,
        given_betas: Any = None,
        beta_schedule: str = "linear",
        timesteps: int = 1000,
        linear_start: float = 1e-4,
        linear_end: float = 2e-2,
        cosine_s: float = 8e-3,
    ) -> None:
        if given_betas is not None:
            betas = torch.as_tensor(given_betas, dtype=torch.float64)
        else:
            betas = make_beta_schedule(beta_schedule, timesteps, linear_start, linear_end, cosine_s)
        self.num_timesteps = len(betas)
        self.linear_start, self.linear_end = linear_start, linear_end
        sigmas = sigmas_from_betas(betas)
        self.set_sigmas(zero_terminal_snr(sigmas) if self.zsnr else sigmas)

    def set_sigmas(self, sigmas: Tensor) -> None:
        """Put in another table."""
        self._keep(sigmas)
        self.register_buffer("log_sigmas", sigmas.log().float())
        self._schedule = DiscreteSchedule(sigmas.cpu())

    def timestep(self, sigma: Tensor) -> Tensor:
        """The index of the nearest log sigma."""
        distance = sigma.log() - self.log_sigmas.to(sigma.device)[:, None]
        return distance.abs().argmin(dim=0).view(sigma.shape)

    def sigma(self, timestep: Tensor) -> Tensor:
        """Log sigma interpolated between indices."""
        return self._schedule.sigma(timestep)

    def percent_to_sigma(self, percent: float) -> float:
        """The noise level after a fraction of the run."""
        if percent <= 0.0:
            return BEYOND_MAX
        if percent >= 1.0:
            return 0.0
        return float(self.sigma(torch.tensor((1.0 - percent) * 999.0)))


def make_beta_schedule(
    schedule: str,
    n_timestep: int,
    linear_start: float = 1e-4,
    linear_end: float = 2e-2,
    cosine_s: float = 8e-3,
) -> Tensor:
    """Betas by name: linear (in the square root), sqrt_linear, sqrt, cosine; float64."""
    if schedule == "linear":
        return scaled_linear_betas(linear_start, linear_end, n_timestep)
    if schedule == "sqrt_linear":
        return torch.linspace(linear_start, linear_end, n_timestep, dtype=torch.float64)
    if schedule == "sqrt":
        return torch.linspace(linear_start, linear_end, n_timestep, dtype=torch.float64).sqrt()
    if schedule in ("cosine", "squaredcos_cap_v2"):
        steps = torch.arange(n_timestep + 1, dtype=torch.float64) / n_timestep + cosine_s
        signal = (steps / (1 + cosine_s) * math.pi / 2).cos() ** 2
        return (1 - signal[1:] / signal[:-1]).clamp(0, 0.999)
    raise ValueError(f"there is no beta schedule '{schedule}'")


class ModelSamplingDiscreteEDM(ModelSamplingDiscrete):
    """The table of a discrete model; the network is told a quarter of log sigma."""

    def timestep(self, sigma: Tensor) -> Tensor:
        return 0.25 * sigma.log()

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep / 0.25).exp()


class ModelSamplingContinuousEDM(_Table):
    """Any sigma between two bounds, the network being told a quarter of its logarithm."""

    def __init__(self, model_config: Any = None) -> None:
        super().__init__()
        settings = _settings(model_config)
        self.set_parameters(
            settings.get("sigma_min", 0.002),
            settings.get("sigma_max", 120.0),
            settings.get("sigma_data", 1.0),
        )

    def set_parameters(self, sigma_min: float, sigma_max: float, sigma_data: float) -> None:
        """Put in other bounds."""
        self.sigma_data = sigma_data
        self._schedule = EdmSchedule(sigma_min, sigma_max, Preconditioned(sigma_data))
        self._keep(self._schedule.sigmas)
        self.register_buffer("log_sigmas", self._schedule.sigmas.log())

    def timestep(self, sigma: Tensor) -> Tensor:
        """A quarter of log sigma."""
        return self._schedule.timestep(sigma)

    def sigma(self, timestep: Tensor) -> Tensor:
        """The inverse of `timestep`."""
        return self._schedule.sigma(timestep)

    def percent_to_sigma(self, percent: float) -> float:
        """Equal distances in log sigma."""
        return self._schedule.percent_to_sigma(percent)


class ModelSamplingContinuousV(ModelSamplingContinuousEDM):
    """Any sigma between two bounds, the network being told the angle of noise to signal."""

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma.atan() / math.pi * 2

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep * math.pi / 2).tan()


class ModelSamplingCosmosRFlow(ModelSamplingContinuousEDM):
    """Any sigma between two bounds, the network being told the flow time."""

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma / (sigma + 1)

    def sigma(self, timestep: Tensor) -> Tensor:
        return timestep / (1 - timestep)


class ModelSamplingDiscreteFlow(_Table):
    """Rectified flow times, bent by a shift."""

    def __init__(self, model_config: Any = None) -> None:
        super().__init__()
        settings = _settings(model_config)
        self.set_parameters(
            shift=settings.get("shift", 1.0), multiplier=settings.get("multiplier", 1000)
        )

    def set_parameters(
        self, shift: float = 1.0, timesteps: int = 1000, multiplier: float = 1000
    ) -> None:
        """Put in another shift."""
        self.shift, self.multiplier = shift, multiplier
        self._schedule: Schedule = FlowSchedule(shift, multiplier)
        if timesteps == 1000:
            self._keep(self._schedule.sigmas)
        else:
            self._keep(self.sigma(torch.arange(1, timesteps + 1) / timesteps * multiplier))

    def timestep(self, sigma: Tensor) -> Tensor:
        """What the network is told."""
        return self._schedule.timestep(sigma)

    def sigma(self, timestep: Tensor) -> Tensor:
        """The noise level of a time."""
        return self._schedule.sigma(timestep)

    def percent_to_sigma(self, percent: float) -> float:
        """The noise level after a fraction of the run."""
        return self._schedule.percent_to_sigma(percent)


class ModelSamplingFlux(ModelSamplingDiscreteFlow):
    """Rectified flow times, bent by exp(mu)."""

    def __init__(self, model_config: Any = None) -> None:
        nn.Module.__init__(self)
        self.set_parameters(shift=_settings(model_config).get("shift", 1.15))

    def set_parameters(
        self, shift: float = 1.15, timesteps: int = 10000, multiplier: float = 1.0
    ) -> None:
        self.shift, self.multiplier = shift, multiplier
        self._schedule = FluxSchedule(shift)
        if timesteps == 10000:
            self._keep(self._schedule.sigmas)
        else:
            self._keep(self.sigma(torch.arange(1, timesteps + 1) / timesteps))


class StableCascadeSampling(ModelSamplingDiscrete):
    """The cosine schedule with a shift of its signal-to-noise ratio."""

    def __init__(self, model_config: Any = None) -> None:
        nn.Module.__init__(self)
        self.set_parameters(_settings(model_config).get("shift", 1.0))
        self.sigma_data = 1.0

    def set_parameters(self, shift: float = 1.0, cosine_s: float = 8e-3) -> None:
        """Put in another shift."""
        self.shift, self.cosine_s = shift, cosine_s
        self._cosine = CosineSchedule(shift)
        self.num_timesteps = len(self._cosine.sigmas)
        self.set_sigmas(self._cosine.sigmas)

    def timestep(self, sigma: Tensor) -> Tensor:
        return self._cosine.timestep(sigma)

    def sigma(self, timestep: Tensor) -> Tensor:
        return self._cosine.sigma(timestep)

    def percent_to_sigma(self, percent: float) -> float:
        return self._cosine.percent_to_sigma(percent)
