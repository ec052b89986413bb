"""Nodes that say which noise levels a model knows, what its output means, how it computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import torch

from models.protocol import reparametrised
from models.protocol.patcher import ModelPatcher
from models.sampling.schedule import FluxSchedule
from models.sampling.sigma_ranges import ltxv_mu
from nodes.base import MAX_RESOLUTION, Declared, Node, inputs
from nodes.schema import SchemaNode

_TYPES: Final[Mapping[str, torch.dtype | None]] = {
    "default": None,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


def _sigma(default: float) -> Declared:
    return "FLOAT", {"default": default, "min": 0.0, "max": 1000.0, "step": 0.001, "round": False}


def _shift(default: float) -> Declared:
    return "FLOAT", {"default": default, "min": 0.0, "max": 100.0, "step": 0.01}


def _side() -> Declared:
    return "INT", {"default": 1024, "min": 16, "max": MAX_RESOLUTION, "step": 8}


class _ModelSamplingNode(Node):
    """A node that gives a model other noise levels."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_model_advanced"
    CATEGORY = "advanced/model"
    RETURN_TYPES = ("MODEL",)


class ModelSamplingDiscrete(_ModelSamplingNode):
    """The levels of Stable Diffusion, and what the model predicts."""

    REQUIRED = inputs(
        model=("MODEL",),
        sampling=(list(reparametrised.DISCRETE),),
        zsnr=("BOOLEAN", {"default": False}),
    )

    def run(self, model: ModelPatcher, sampling: str, zsnr: bool) -> tuple[ModelPatcher]:
        """`zsnr`: the last level is pure noise."""
        return (reparametrised.discrete(model, sampling, zero_snr=zsnr),)


class ModelSamplingContinuousEDM(_ModelSamplingNode):
    """Any level between two bounds, and what the model predicts."""

    REQUIRED = inputs(
        model=("MODEL",),
        sampling=(list(reparametrised.CONTINUOUS),),
        sigma_max=_sigma(120.0),
        sigma_min=_sigma(0.002),
    )

    def run(
        self, model: ModelPatcher, sampling: str, sigma_max: float, sigma_min: float
    ) -> tuple[ModelPatcher]:
        """The model is told a quarter of log sigma."""
        made = reparametrised.continuous(model, sampling, sigma_min=sigma_min, sigma_max=sigma_max)
        return (made,)


class ModelSamplingContinuousV(_ModelSamplingNode):
    """Any level between two bounds, told to the model as an angle."""

    REQUIRED = inputs(
        model=("MODEL",),
        sampling=(["v_prediction"],),
        sigma_max=_sigma(500.0),
        sigma_min=_sigma(0.03),
    )

    def run(
        self, model: ModelPatcher, sampling: str, sigma_max: float, sigma_min: float
    ) -> tuple[ModelPatcher]:
        """The model predicts v."""
        made = reparametrised.continuous_v(model, sigma_min=sigma_min, sigma_max=sigma_max)
        return (made,)


class ModelSamplingStableCascade(_ModelSamplingNode):
    """The levels of Stable Cascade."""

    REQUIRED = inputs(model=("MODEL",), shift=_shift(2.0))

    def run(self, model: ModelPatcher, shift: float) -> tuple[ModelPatcher]:
        """`shift` is more for larger pictures."""
        return (reparametrised.cascade(model, shift),)


class ModelSamplingSD3(_ModelSamplingNode):
    """The flow times of Stable Diffusion 3."""

    REQUIRED = inputs(model=("MODEL",), shift=_shift(3.0))

    def run(
        self, model: ModelPatcher, shift: float, multiplier: float = 1000.0
    ) -> tuple[ModelPatcher]:
        """`shift` is more for larger pictures."""
        return (reparametrised.flow(model, shift, multiplier=multiplier),)


class ModelSamplingAuraFlow(_ModelSamplingNode):
    """The flow times of AuraFlow, which is told them as they are."""

    REQUIRED = inputs(model=("MODEL",), shift=_shift(1.73))
    OPTIONAL = inputs(sampling=(list(reparametrised.FLOW), {"default": "flow", "advanced": True}))

    def run(self, model: ModelPatcher, shift: float, sampling: str = "flow") -> tuple[ModelPatcher]:
        """`shift` is more for larger pictures.

        `img_to_img_velocity` is for networks that make one picture of another in a step.
        """
        return (reparametrised.flow(model, shift, multiplier=1.0, kind=sampling),)


class ModelSamplingFlux(_ModelSamplingNode):
    """The flow times of Flux for a size of pictures."""

    REQUIRED = inputs(
        model=("MODEL",),
        max_shift=_shift(1.15),
        base_shift=_shift(0.5),
        width=_side(),
        height=_side(),
    )

    def run(
        self, model: ModelPatcher, max_shift: float, base_shift: float, width: int, height: int
    ) -> tuple[ModelPatcher]:
        """`base_shift` is that of 256 x 256 pixels, `max_shift` that of 1024 x 1024."""
        mu = FluxSchedule.mu_for(width, height, base_shift=base_shift, max_shift=max_shift)
        return (reparametrised.bent_flow(model, mu),)


class ModelSamplingLTXV(SchemaNode):
    """The flow times of LTX-Video for a length of videos."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_lt"
    CATEGORY = "advanced/model"
    REQUIRED = inputs(model=("MODEL",), max_shift=_shift(2.05), base_shift=_shift(0.95))
    OPTIONAL = inputs(latent=("LATENT",))
    RETURN_TYPES = ("MODEL",)

    def run(
        self,
        model: ModelPatcher,
        max_shift: float,
        base_shift: float,
        latent: Mapping[str, Any] | None = None,
    ) -> tuple[ModelPatcher]:
        """`latent` tells the length; without it, 4096 tokens."""
        tokens = 4096 if latent is None else latent["samples"].shape[2:].numel()
        mu = ltxv_mu(tokens, base_shift=base_shift, max_shift=max_shift)
        return (reparametrised.bent_flow(model, mu),)


class ModelNoiseScale(SchemaNode):
    """Scales the noise that a model starts from, and that samplers add on the way."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_model_advanced"
    DISPLAY_NAME = "Model Noise Scale"
    CATEGORY = "advanced/model"
    REQUIRED = inputs(
        model=("MODEL",),
        noise_scale=("FLOAT", {"default": 1.0, "min": 0.0, "max": 64.0, "step": 0.01}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, noise_scale: float) -> tuple[ModelPatcher]:
        """Its standard deviation: HiDream-O1 was trained with 8, its dev version with 7.5.

        Noise that stochastic samplers add in units of the noise level is theirs (`s_noise`).
        """
        return (reparametrised.scaled_noise(model, noise_scale),)


class ModelComputeDtype(Node):
    """The number type that a model computes in."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_model_advanced"
    CATEGORY = "advanced/debug/model"
    REQUIRED = inputs(model=("MODEL",), dtype=(list(_TYPES),))
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, dtype: str) -> tuple[ModelPatcher]:
        """Weights are read anew when models of one file take turns with different types."""
        made = model.clone()
        made.set_model_compute_dtype(_TYPES[dtype])
        return (made,)
