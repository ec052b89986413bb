"""LoRA: which names files use for a model's weights, and patches from their tensors."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.lora import BiasPatch, group_tensors, part_names, text_names, unet_names
from models.lora.apply import weight_patch
from models.protocol.denoiser import Denoiser
from models.protocol.text import TextModel
from models.protocol.weights import calculate_weight as calculate_weight

LORA_CLIP_MAP = {
    "mlp.fc1": "mlp_fc1",
    "mlp.fc2": "mlp_fc2",
    "self_attn.k_proj": "self_attn_k_proj",
    "self_attn.q_proj": "self_attn_q_proj",
    "self_attn.v_proj": "self_attn_v_proj",
    "self_attn.out_proj": "self_attn_out_proj",
}


def model_lora_keys_unet(model: Any, key_map: dict[str, Any] | None = None) -> dict[str, Any]:
    """Names in LoRA files -> names of the weights of a diffusion model, added to `key_map`.

    A name may come with an offset: see models.protocol.weights.
    """
    found: dict[str, Any] = {} if key_map is None else key_map
    network = getattr(model, "diffusion_model", None)
    if isinstance(network, Denoiser):
        for spelling, part in part_names(network.network).items():
            weight = f"diffusion_model.{part.weight}.weight"
            if part.rows is None:
                found[spelling] = weight
            elif len(part.rows) == 1:
                [(start, stop)] = part.rows
                found[spelling] = (weight, (0, start, stop - start))
        for spelling, layer in unet_names(network.network).items():
            original = network.network.original(f"{layer}.weight")
            found[spelling] = f"diffusion_model.{original}"
            found[f"diffusion_model.{original.removesuffix('.weight')}"] = found[spelling]
        return found
    for name in model.state_dict():
        if name.startswith("diffusion_model.") and name.endswith(".weight"):
            short = name.removeprefix("diffusion_model.").removesuffix(".weight")
            found[f"lora_unet_{short.replace('.', '_')}"] = name
            found[f"diffusion_model.{short}"] = name
    return found


def model_lora_keys_clip(model: Any, key_map: dict[str, str] | None = None) -> dict[str, str]:
    """Names in LoRA files -> names of the weights of a text encoder, added to `key_map`."""
    found: dict[str, str] = {} if key_map is None else key_map
    if isinstance(model, TextModel):
        for encoder in model.handle.encoders.values():
            for spelling, layer in text_names(encoder).items():
                outer = encoder.outer_name(f"{layer}.weight")
                found[spelling] = f"{encoder.name}.transformer.{outer}"
        return found
    for name in model.state_dict():
        if name.endswith(".weight"):
            found[f"text_encoders.{name.removesuffix('.weight')}"] = name
    return found


def load_lora(
    lora: Mapping[str, Tensor], to_load: Mapping[str, Any], log_missing: bool = True
) -> dict[Any, Any]:
    """Patches for `add_patches` from the tensors of a LoRA; `to_load` is a key map."""
    groups = group_tensors(lora)
    patches: dict[Any, Any] = {}
    unused = []
    for name, parts in groups.items():
        target = to_load.get(name)
        if target is None:
            unused.append(name)
            continue
        rest = {part: tensor for part, tensor in parts.items() if part != "diff_b"}
        if "diff_b" in parts:
            weight, *offset = (target,) if isinstance(target, str) else target
            bias = f"{weight.removesuffix('.weight')}.bias"
            patches[(bias, *offset) if offset else bias] = BiasPatch(parts["diff_b"], 1.0)
        patch = weight_patch(rest, 1.0)
        if patch is not None:
            patches[target] = patch
    if unused and log_missing:
        logging.getLogger(__name__).warning(
            "%d of %d entries of a LoRA fit no weight, such as '%s'",
            len(unused), len(groups), unused[0],
        )  # fmt: skip
    return patches
