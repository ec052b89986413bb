"""Control of a run by pictures: networks, adapters, and the base class for those of packs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from comfy.not_yet import absent
from darkroom_compat.models import policy
from torch import Tensor

from models.control.adapter import T2IAdapter as T2IAdapter
from models.control.control_lora import ControlLora as ControlLora
from models.control.controlnet import ControlNet as ControlNet
from models.control.load import control_of
from models.control.load import load_control as _load_control
from models.protocol.control import ControlBase as ControlBase
from models.protocol.control import StrengthType as StrengthType
from models.protocol.control import broadcast_image_to as broadcast_image_to
from models.weights import Weights


def load_controlnet(
    ckpt_path: str, model: Any = None, model_options: dict[str, Any] | None = None
) -> ControlBase:
    """The control of a file; `model` is what a file of differences adds to."""
    return _load_control(Path(ckpt_path), policy(), model)


def load_controlnet_state_dict(
    state_dict: Mapping[str, Tensor],
    model: Any = None,
    model_options: dict[str, Any] | None = None,
    ckpt_path: str | None = None,
) -> ControlBase:
    """The control of a file's tensors."""
    path = Path(ckpt_path or "<state dict>")
    return control_of(Weights(path=path, tensors=dict(state_dict)), policy(), model)


def load_t2i_adapter(
    t2i_data: Mapping[str, Tensor], model_options: dict[str, Any] | None = None
) -> ControlBase:
    """The adapter of a file's tensors."""
    return load_controlnet_state_dict(t2i_data)


__getattr__ = absent(
    __name__,
    base=ControlBase,
    classes="ControlNetSD35 QwenFunControlNet",
    layers="ControlLoraOps",
    functions=(
        "controlnet_config "
        "controlnet_load_state_dict load_controlnet_mmdit load_controlnet_hunyuandit "
        "load_controlnet_flux_xlabs_mistoline load_controlnet_flux_instantx convert_mistoline "
        "load_controlnet_sd35 load_controlnet_qwen_instantx"
    ),
)
