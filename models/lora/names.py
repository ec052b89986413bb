"""What LoRA files call the layers of a network."""

from __future__ import annotations

from typing import Any

from models.network import Network
from models.parts import Part


def unet_names(network: Network[Any]) -> dict[str, str]:
    """Names that files use for layers of a UNet -> the layers' names in the network."""
    names: dict[str, str] = {}
    for layer in layers(network):
        for spelling in (layer, network.original(f"{layer}.weight").removesuffix(".weight")):
            flat = spelling.replace(".", "_")
            names[f"lora_unet_{flat}"] = layer  # kohya
            names[f"lycoris_{flat}"] = layer  # SimpleTuner
            names[f"unet.{spelling}"] = layer  # diffusers
            names[f"diffusion_model.{spelling}"] = layer
            names[f"base_model.model.{spelling}"] = layer  # PEFT
            names[spelling] = layer
        attention, _, projection = layer.partition(".to_")
        if projection:  # diffusers before PEFT
            old = f"{attention}.processor.to_{projection.removesuffix('.0')}"
            names[f"unet.{old}"] = names[old] = layer
    return names


def text_names(network: Network[Any]) -> dict[str, str]:
    """Names that files use for layers of a CLIP-L text encoder -> their names in the network."""
    names: dict[str, str] = {}
    for layer in layers(network):
        full = f"text_model.{layer.removeprefix('text_model.')}"
        for prefix in ("lora_te_", "lora_te1_"):
            names[prefix + full.replace(".", "_")] = layer
        for prefix in ("text_encoder.", "text_encoders.clip_l.transformer.", "clip_l.transformer."):
            names[prefix + full] = layer
    return names


def layers(network: Network[Any]) -> list[str]:
    """The names of all layers that have a weight."""
    return [name.removesuffix(".weight") for name in network.names() if name.endswith(".weight")]


def part_names(network: Network[Any]) -> dict[str, Part]:
    """Names that files use for layers as diffusers has them -> what these are of layers.

    Only for networks some of whose parameters are parts of weights (see models.parts).
    """
    names: dict[str, Part] = {}
    for parameter, part in network.parts.items():
        if not parameter.endswith(".weight"):
            continue
        layer = parameter.removesuffix(".weight")
        target = Part(part.weight.removesuffix(".weight"), part.rows)
        flat = layer.replace(".", "_")
        for prefix in ("lora_unet_", "lora_transformer_", "lycoris_"):
            names[prefix + flat] = target
        for prefix in ("transformer.", "diffusion_model.", "base_model.model.", ""):
            names[prefix + layer] = target
    return names
