"""Clones of models with another table of noise levels, or another meaning of their output."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, Final, TypeVar

from torch import Tensor

from models.protocol import model_sampling as tables
from models.protocol.distilled_sampling import LCM, ModelSamplingDiscreteDistilled
from models.protocol.latent_formats import SDXL_Playground_2_5
from models.protocol.patcher import ModelPatcher

P = TypeVar("P", bound=ModelPatcher)

# What the output of a network on a table of discrete levels may be: (table, prediction).
DISCRETE: Final[Mapping[str, tuple[type, type]]] = {
    "eps": (tables.ModelSamplingDiscrete, tables.EPS),
    "v_prediction": (tables.ModelSamplingDiscrete, tables.V_PREDICTION),
    "lcm": (ModelSamplingDiscreteDistilled, LCM),
    "x0": (tables.ModelSamplingDiscrete, tables.X0),
    "img_to_img": (tables.ModelSamplingDiscrete, tables.IMG_TO_IMG),
}

# The same for continuous levels: (prediction, standard deviation of data).
CONTINUOUS: Final[Mapping[str, tuple[type, float]]] = {
    "v_prediction": (tables.V_PREDICTION, 1.0),
    "edm": (tables.EDM, 0.5),
    "edm_playground_v2.5": (tables.EDM, 0.5),
    "eps": (tables.EPS, 1.0),
    "cosmos_rflow": (tables.COSMOS_RFLOW, 1.0),
}


def _sampling(model: ModelPatcher, table: type, prediction: type, **options: Any) -> Any:
    return type("ModelSampling", (table, prediction), {})(model.model.model_config, **options)


def _with(model: P, sampling: Any) -> P:
    made = model.clone()
    made.add_object_patch("model_sampling", sampling)
    return made


def discrete(model: P, kind: str, *, zero_snr: bool) -> P:
    """The model with a kind of DISCRETE; zero_snr ends its table in pure noise."""
    table, prediction = DISCRETE[kind]
    return _with(model, _sampling(model, table, prediction, zsnr=zero_snr))


def continuous(model: P, kind: str, *, sigma_min: float, sigma_max: float) -> P:
    """The model with a kind of CONTINUOUS on EDM's levels; Playground has a latent space, too."""
    prediction, sigma_data = CONTINUOUS[kind]
    sampling = _sampling(model, tables.ModelSamplingContinuousEDM, prediction)
    sampling.set_parameters(sigma_min, sigma_max, sigma_data)
    made = _with(model, sampling)
    if kind == "edm_playground_v2.5":
        made.add_object_patch("latent_format", SDXL_Playground_2_5())
    return made


def continuous_v(model: P, *, sigma_min: float, sigma_max: float) -> P:
    """The model as one that predicts v and is told the angle of noise to signal."""
    sampling = _sampling(model, tables.ModelSamplingContinuousV, tables.V_PREDICTION)
    sampling.set_parameters(sigma_min, sigma_max, 1.0)
    return _with(model, sampling)


def cascade(model: P, shift: float) -> P:
    """The model on Stable Cascade's levels."""
    sampling = _sampling(model, tables.StableCascadeSampling, tables.EPS)
    sampling.set_parameters(shift)
    return _with(model, sampling)


# What the output of a network on flow times may be.
FLOW: Final[Mapping[str, type]] = {
    "flow": tables.CONST,
    "img_to_img_velocity": tables.IMG_TO_IMG_VELOCITY,
}


def flow(model: P, shift: float, *, multiplier: float = 1000.0, kind: str = "flow") -> P:
    """The model on flow times with a shift; the network is told them times the multiplier."""
    sampling = _sampling(model, tables.ModelSamplingDiscreteFlow, FLOW[kind])
    sampling.set_parameters(shift=shift, multiplier=multiplier)
    return _with(model, sampling)


def film_and_sound_flow(model: P, shift: float, sound_shift: float) -> P:
    """The model on flow times with a shift for films, and one for the sounds made with them."""
    sampling = _sampling(model, tables.ModelSamplingDiscreteFlow, tables.CONST)
    sampling.set_parameters(shift=shift, multiplier=1.0)
    sampling.sound_shift = sound_shift
    return _with(model, sampling)


def bent_flow(model: P, mu: float) -> P:
    """The model on flow times bent by exp(mu)."""
    sampling = _sampling(model, tables.ModelSamplingFlux, tables.CONST)
    sampling.set_parameters(shift=mu)
    return _with(model, sampling)


class _ScaledNoise:
    """Put before the class of a `model_sampling` object: all noise that goes in is scaled."""

    noise_scale: float

    def noise_scaling(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False
    ) -> Tensor:
        """The latent at a noise level."""
        scaled = noise * self.noise_scale
        result: Tensor = super().noise_scaling(  # type: ignore[misc]
            sigma, scaled, latent_image, max_denoise
        )
        return result


def scaled_noise(model: P, scale: float) -> P:
    """The model with noise of another standard deviation than 1; of several, the last counts."""
    sampling = copy(model.get_model_object("model_sampling"))
    if not isinstance(sampling, _ScaledNoise):
        sampling.__class__ = type("ModelSampling", (_ScaledNoise, type(sampling)), {})
    sampling.noise_scale = scale
    return _with(model, sampling)
