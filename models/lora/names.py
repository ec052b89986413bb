"""What LoRA files call the layers of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from models.network import Network
from models.parts import Part

if TYPE_CHECKING:
    from models.text.encoder import TextEncoder

# XLabs' names of what it changes in blocks of Flux -> the layers.
_XLABS_DOUBLE: Final = {
    "qkv_lora1": "img_attn.qkv",
    "qkv_lora2": "txt_attn.qkv",
    "proj_lora1": "img_attn.proj",
    "proj_lora2": "txt_attn.proj",
}
_XLABS_SINGLE: Final = {"qkv": "linear1", "proj": "linear2"}  # `_lora` counts as a suffix

_NUMBERS: Final = {"clip_l": 1, "clip_g": 2, "t5xxl": 3}


def model_names(network: Network[Any]) -> dict[str, str | Part]:
    """Names that files use for layers of a diffusion model -> layers, or parts of such."""
    return {**part_names(network), **_norm_names(network), **unet_names(network)}


def unet_names(network: Network[Any]) -> dict[str, str]:
    """Names that files use for layers of a UNet -> the layers' names in the network."""
    names: dict[str, str] = {}
    for layer in layers(network):
        original = network.original(f"{layer}.weight").removesuffix(".weight")
        # What takes in a class vector has another name in diffusers where it is for SDXL's sizes.
        for spelling in (layer, original, layer.replace("class_embedding.", "add_embedding.")):
            flat = spelling.replace(".", "_")
            names[f"lora_unet_{flat}"] = layer  # kohya
            names[f"lycoris_{flat}"] = layer  # SimpleTuner
            names[f"lora_transformer_{flat}"] = layer  # OneTrainer
            names[f"unet.{spelling}"] = layer  # diffusers
            names[f"transformer.{spelling}"] = layer
            names[f"diffusion_model.{spelling}"] = layer
            names[f"base_model.model.{spelling}"] = layer  # PEFT
            names[spelling] = layer
        attention, _, projection = layer.partition(".to_")
        if projection:  # diffusers before PEFT
            old = f"{attention}.processor.to_{projection.removesuffix('.0')}"
            names[f"unet.{old}"] = names[old] = layer
    return names


def text_names(encoder: TextEncoder) -> dict[str, str]:
    """Names that files use for layers of a text encoder -> the layers' names in the network."""
    flat, dotted = _prefixes(encoder)
    names: dict[str, str] = {}
    for layer in layers(encoder.network):
        full = encoder.outer_name(f"{layer}.weight").removesuffix(".weight")
        names |= {prefix + full.replace(".", "_"): layer for prefix in flat}
        names |= {prefix + full: layer for prefix in dotted}
    return names


def _prefixes(encoder: TextEncoder) -> tuple[list[str], list[str]]:
    """What kohya's names begin with, and all others.

    Trainers count a family's encoders, or give every encoder the number that it has in SD 3.
    """
    numbers = sorted({encoder.number, _NUMBERS.get(encoder.name, encoder.number)})
    flat = [f"lora_te{number}_" for number in numbers]
    dotted = [f"text_encoder_{number}." for number in numbers]
    if encoder.number == 1:
        flat.append("lora_te_")
        dotted.append("text_encoder.")
    inner = f"{encoder.name}.transformer."
    return flat, [*dotted, f"text_encoders.{inner}", inner]


def layers(network: Network[Any]) -> list[str]:
    """The names of all layers that have a weight."""
    return [name.removesuffix(".weight") for name in network.names() if name.endswith(".weight")]


def part_names(network: Network[Any]) -> dict[str, Part]:
    """Names that files use for layers as diffusers or XLabs has them -> what these are of layers.

    Only for networks some of whose parameters are parts of weights (see models.parts).
    """
    names = _xlabs_names(network)
    for parameter, part in network.parts.items():
        if not parameter.endswith(".weight") or not part.weight.endswith(".weight"):
            continue
        layer = parameter.removesuffix(".weight")
        target = Part(part.weight.removesuffix(".weight"), part.rows)
        flat = layer.replace(".", "_")
        for prefix in ("lora_unet_", "lora_transformer_", "lycoris_"):
            names[prefix + flat] = target
        for prefix in ("transformer.", "diffusion_model.", "base_model.model.", ""):
            names[prefix + layer] = target
    return names


def _norm_names(network: Network[Any]) -> dict[str, str]:
    """Norms of queries and keys in files of Black Forest Labs, without the ending `_norm.scale`."""
    norms = [n.removesuffix(".scale") for n in network.names() if n.endswith("_norm.scale")]
    return {
        f"{prefix}{norm.removesuffix('_norm')}": norm
        for norm in norms
        for prefix in ("", "diffusion_model.")
    }


def _xlabs_names(network: Network[Any]) -> dict[str, Part]:
    """Names of attention processors in blocks of Flux."""
    names: dict[str, Part] = {}
    for layer in layers(network):
        kind, _, rest = layer.partition(".")
        number, _, inner = rest.partition(".")
        table = {"double_blocks": _XLABS_DOUBLE, "single_blocks": _XLABS_SINGLE}.get(kind, {})
        for name, changed in table.items():
            if changed == inner:
                rows = None
                if name == "qkv":  # of what else the layer computes, it knows nothing
                    rows = ((0, 3 * network.shape(f"{kind}.{number}.linear2.weight")[0]),)
                for prefix in ("", "diffusion_model."):
                    names[f"{prefix}{kind}.{number}.processor.{name}"] = Part(layer, rows)
    return names
