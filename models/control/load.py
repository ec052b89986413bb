"""Loads files of control networks, in the layouts that are in use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from models.control.adapter import T2IAdapter
from models.control.control_lora import ControlLora
from models.control.controlnet import ControlNet
from models.control.flux import FluxControlNet
from models.control.mmdit import SD3ControlNet
from models.control.union import UnionControlNet
from models.errors import PartMissing
from models.families import mmdit_control
from models.families.diffusers_names import with_original_names
from models.families.flux_control import is_flux_control
from models.families.ldm_control import (
    PREFIX,
    adapter_names,
    build_adapter,
    build_controlnet,
    build_union,
    is_adapter,
    is_union,
)
from models.memory import Policy
from models.protocol.control import ControlBase
from models.weights import Weights, open_weights


def load_control(path: Path, policy: Policy, model: Any = None) -> ControlBase:
    """The control of a file. Raises ModelFileError.

    `model` (a ModelHandle) is what the weights of a file of differences are added to.
    """
    if model is not None:  # the file alone may not say what it is
        return control_of(open_weights(path), policy, model)
    found = policy.library.fetch(
        ("control", policy), (path,), lambda: control_of(open_weights(path), policy)
    )
    return found.copy()


def control_of(weights: Weights, policy: Policy, model: Any = None) -> ControlBase:
    """The control of an opened file: a ControlNet, a Control-LoRA or a T2I-Adapter."""
    pooled = weights.path.stem.endswith(("_shuffle", "_shuffle_fp16"))
    if "lora_controlnet" in weights.tensors:
        return ControlLora(weights, policy, global_average_pooling=pooled)
    if mmdit_control.MARK in weights.tensors:
        return SD3ControlNet(weights, policy)
    if is_flux_control(weights):
        return FluxControlNet(weights, policy)
    adapter = weights.below("adapter.")
    if is_adapter(adapter if adapter.tensors else weights):
        named = adapter_names(adapter if adapter.tensors else weights)
        return T2IAdapter(build_adapter(named, policy.unet_dtype), policy)
    control = weights.below(PREFIX)
    if not control.tensors:
        control = with_original_names(weights)
    if "input_hint_block.0.weight" not in control.tensors:
        raise PartMissing(weights.path, "ControlNet")
    if "difference" in weights.tensors and model is not None:
        control = replace(control, tensors=_added(control.tensors, model))
    dtype = policy.unet_dtype
    if is_union(control):
        return UnionControlNet(build_union(control, dtype), policy)
    return ControlNet(build_controlnet(control, dtype), policy, global_average_pooling=pooled)


def _added(tensors: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Weights that are differences to a UNet's: with these they have in common added."""
    stored = {
        outer.removeprefix("diffusion_model."): model.weight(name)
        for outer, name in model.weight_names().items()
    }

    def whole(name: str, tensor: Tensor) -> Tensor:
        base = stored.get(name)
        if base is None or base.shape != tensor.shape:
            return tensor
        summed: Tensor = (tensor.float() + base.float()).to(tensor.dtype)
        return summed

    return {name: whole(name, tensor) for name, tensor in tensors.items()}
