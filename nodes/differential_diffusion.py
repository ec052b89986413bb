"""Masks in shades of grey: how much of the run each place is painted for."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from models.protocol.patcher import ModelPatcher
from models.sampling.differential import differential_mask
from nodes.base import inputs
from nodes.schema import SchemaNode


class DifferentialDiffusion(SchemaNode):
    """Has the noise mask say, place by place, from which step on it is painted."""

    DISPLAY_NAME = "Differential Diffusion"
    CATEGORY = "_for_testing"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_differential_diffusion"
    EXPERIMENTAL = True
    REQUIRED = inputs(model=("MODEL",))
    OPTIONAL = inputs(strength=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}))
    RETURN_TYPES = ("MODEL",)

    def run(self, model: ModelPatcher, strength: float = 1.0) -> tuple[ModelPatcher]:
        """White is painted from the first step on."""

        def mask_now(sigma: Tensor, mask: Tensor, extra_options: dict[str, Any]) -> Tensor:
            sampling = extra_options["model"].inner_model.model_sampling
            sigmas: Tensor = extra_options["sigmas"]
            last = sigmas[-1].clamp(min=float(sampling.sigma_min))
            first, now, end = (sampling.timestep(s) for s in (sigmas[0], sigma[0], last))
            return differential_mask(mask, (now - end) / (first - end), strength)

        patched = model.clone()
        patched.set_model_denoise_mask_function(mask_now)
        return (patched,)
