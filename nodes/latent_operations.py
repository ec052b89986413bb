"""Operations on latents that nodes apply once, or at every step of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from torch import Tensor

from models.latent_operations import sharpen, tonemap_reinhard
from models.protocol.patcher import ModelPatcher
from nodes.base import inputs
from nodes.schema import SchemaNode

Operation: TypeAlias = Callable[..., Tensor]  # of `latent` [B, C, ...]


class LatentApplyOperation(SchemaNode):
    """Applies an operation to a latent."""

    CATEGORY = "latent/advanced/operations"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_latent"
    EXPERIMENTAL = True
    REQUIRED = inputs(samples=("LATENT",), operation=("LATENT_OPERATION",))
    RETURN_TYPES = ("LATENT",)

    def run(self, samples: Mapping[str, Any], operation: Operation) -> tuple[dict[str, Any]]:
        """Everything beside the samples stays."""
        return ({**samples, "samples": operation(latent=samples["samples"])},)


class LatentApplyOperationCFG(SchemaNode):
    """Applies an operation, at every step, to what guidance adds."""

    CATEGORY = "latent/advanced/operations"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_latent"
    EXPERIMENTAL = True
    REQUIRED = inputs(model=("MODEL",), operation=("LATENT_OPERATION",))
    OPTIONAL = inputs(
        start_percent=("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.001}),
        end_percent=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.001}),
    )
    RETURN_TYPES = ("MODEL",)

    def run(
        self,
        model: ModelPatcher,
        operation: Operation,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
    ) -> tuple[ModelPatcher]:
        """To the difference of the predictions; without a negative one, to the positive one."""
        sampling = model.get_model_object("model_sampling")
        start, end = (float(sampling.percent_to_sigma(p)) for p in (start_percent, end_percent))

        def change(args: dict[str, Any]) -> list[Tensor]:
            first, *others = args["conds_out"]
            if not end <= float(args["timestep"].flatten()[0]) <= start:
                return [first, *others]
            if len(others) != 1:
                return [operation(latent=first), *others]
            return [operation(latent=first - others[0]) + others[0], *others]

        patched = model.clone()
        patched.set_model_sampler_pre_cfg_function(change)
        return (patched,)


class LatentOperationTonemapReinhard(SchemaNode):
    """Compresses extreme values."""

    CATEGORY = "latent/advanced/operations"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_latent"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        multiplier=("FLOAT", {"default": 1.0, "min": 0.0, "max": 100.0, "step": 0.01})
    )
    RETURN_TYPES = ("LATENT_OPERATION",)

    def run(self, multiplier: float) -> tuple[Operation]:
        """The multiplier moves what counts as white."""
        return (partial(tonemap_reinhard, multiplier=multiplier),)


class LatentOperationSharpen(SchemaNode):
    """Sharpens."""

    CATEGORY = "latent/advanced/operations"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_latent"
    EXPERIMENTAL = True
    REQUIRED = inputs(
        sharpen_radius=("INT", {"default": 9, "min": 1, "max": 31, "step": 1}),
        sigma=("FLOAT", {"default": 1.0, "min": 0.1, "max": 10.0, "step": 0.1}),
        alpha=("FLOAT", {"default": 0.1, "min": 0.0, "max": 5.0, "step": 0.01}),
    )
    RETURN_TYPES = ("LATENT_OPERATION",)

    def run(self, sharpen_radius: int, sigma: float, alpha: float) -> tuple[Operation]:
        """Alpha is how strongly."""
        return (partial(sharpen, radius=sharpen_radius, sigma=sigma, alpha=alpha),)
