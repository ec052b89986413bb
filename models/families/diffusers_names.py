"""Files in the layout of diffusers, renamed to the original layout, so that one path loads both."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from torch import Tensor

from models.families import families
from models.weights import Weights

UNET_PREFIX: Final = "model.diffusion_model."
VAE_PREFIX: Final = "first_stage_model."

# Of pipelines in one file, and of the folders of a pipeline -> the original layout's prefix. Which
# text encoder is the first or the second depends on the family: see models.text.families.
PARTS: Final[Mapping[str, str]] = {
    "unet": UNET_PREFIX,
    "transformer": UNET_PREFIX,
    "vae": VAE_PREFIX,
    **{part: f"{part}." for part in ("text_encoder", "text_encoder_2", "text_encoder_3")},
}

# What only a pipeline in one file has; original VAEs of newer families are below `vae.`, too.
_PIPELINE: Final = (
    "unet.",
    "transformer.",
    "vae.encoder.down_blocks.",
    "vae.encoder.conv_norm_out.",
)

_RESNET: Final = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_TOP: Final = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "class_embedding.linear_1": "label_emb.0.0",
    "class_embedding.linear_2": "label_emb.0.2",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
}
# What ControlNets for several kinds of hints have beside the rest; these names are all there are.
UNION_LAYERS: Final = (
    "task_embedding",
    "transformer_layes.",
    "spatial_ch_projs.",
    "control_add_embedding.",
)
_VAE_ATTENTION: Final = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
    "query": "q",
    "key": "k",
    "value": "v",
    "proj_attn": "proj_out",
}
_VAE_TOP: Final = {"conv_norm_out": "norm_out", "conv_shortcut": "nin_shortcut"}


def with_original_names(weights: Weights) -> Weights:
    """The file in the original layout; one that is in it already comes back as it is."""
    if any(name.startswith(_PIPELINE) for name in weights.tensors):
        parts = {part: weights.below(f"{part}.").tensors for part in PARTS}
        return replace(weights, tensors=join_parts(parts))
    if "down_blocks.0.resnets.0.conv1.weight" in weights.tensors:
        return replace(weights, tensors=_renamed(weights.tensors, unet_renamer(weights)))
    if "encoder.down_blocks.0.resnets.0.conv1.weight" in weights.tensors:
        return replace(weights, tensors=_vae(weights.tensors))
    for family in families():
        layout = family.diffusers
        if layout is not None and all(name in weights.tensors for name in layout.marks):
            return layout.to_original(weights)
    return weights


def join_parts(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of a pipeline's parts (see PARTS) as one checkpoint in the original layout."""
    joined: dict[str, Tensor] = {}
    for part, tensors in parts.items():
        part_weights = Weights(path=Path(part), tensors=dict(tensors))
        original = with_original_names(part_weights).tensors
        joined |= {PARTS[part] + name: tensor for name, tensor in original.items()}
    return joined


def _renamed(
    tensors: Mapping[str, Tensor], rename: Callable[[str], str | None]
) -> dict[str, Tensor]:
    found = ((rename(name), tensor) for name, tensor in tensors.items())
    return {name: tensor for name, tensor in found if name is not None}


def unet_renamer(weights: Weights) -> Callable[[str], str | None]:
    """From names of a UNet or a ControlNet in diffusers to the original's; None for others."""
    each = weights.count("down_blocks.0.resnets.{}.") + 1  # blocks of a level, with the one between
    with_attention = {
        name.split(".attentions.")[0] for name in weights.tensors if ".attentions." in name
    }
    hints = weights.count("controlnet_cond_embedding.blocks.{}.")

    def up_sampler(level: int) -> str:
        place = 2 if f"up_blocks.{level}" in with_attention else 1
        return f"output_blocks.{(level + 1) * each - 1}.{place}.conv"

    places: list[tuple[str, Callable[..., str]]] = [
        (r"down_blocks\.(\d+)\.resnets\.(\d+)", lambda i, j: f"input_blocks.{1 + i * each + j}.0"),
        (r"down_blocks\.(\d+)\.attentions\.(\d+)",
         lambda i, j: f"input_blocks.{1 + i * each + j}.1"),
        (r"down_blocks\.(\d+)\.downsamplers\.0\.conv",
         lambda i: f"input_blocks.{(i + 1) * each}.0.op"),
        (r"mid_block\.resnets\.(\d+)", lambda i: f"middle_block.{2 * i}"),
        (r"mid_block\.attentions\.(\d+)", lambda i: f"middle_block.{2 * i + 1}"),
        (r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda i, j: f"output_blocks.{i * each + j}.0"),
        (r"up_blocks\.(\d+)\.attentions\.(\d+)", lambda i, j: f"output_blocks.{i * each + j}.1"),
        (r"up_blocks\.(\d+)\.upsamplers\.0\.conv", up_sampler),
        (r"controlnet_down_blocks\.(\d+)", lambda i: f"zero_convs.{i}.0"),
        (r"controlnet_cond_embedding\.blocks\.(\d+)", lambda i: f"input_hint_block.{2 * i + 2}"),
        (r"controlnet_cond_embedding\.conv_out", lambda: f"input_hint_block.{2 * hints + 2}"),
    ]  # fmt: skip

    def rename(name: str) -> str | None:
        if name.startswith(UNION_LAYERS):
            return name
        layer, _, kind = name.rpartition(".")
        if layer in _TOP:
            return f"{_TOP[layer]}.{kind}"
        for pattern, place in places:
            match = re.match(pattern + r"(?=\.|$)", layer)
            if match is None:
                continue
            outer = place(*map(int, match.groups()))
            rest = layer[match.end() :].removeprefix(".")
            rest = _RESNET.get(rest, rest) if "resnets" in match[0] else rest
            return ".".join(part for part in (outer, rest, kind) if part)
        return None

    return rename


def _vae(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A VAE; its attention is made of convolutions in the original layout."""
    levels = sum(f"decoder.up_blocks.{n}.resnets.0.conv1.weight" in tensors for n in range(16))

    def rename(name: str) -> str:
        name = re.sub(
            r"decoder\.up_blocks\.(\d+)\.",
            lambda m: f"decoder.up.{levels - 1 - int(m[1])}.",
            name,
        )
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = name.replace("encoder.down_blocks.", "encoder.down.").replace(".resnets.", ".block.")
        name = re.sub(r"(up|down)samplers\.0", r"\1sample", name)
        head, attention, tail = name.partition("mid_block.attentions.0.")
        if attention:
            layer, _, kind = tail.rpartition(".")
            # VAEs of films have other layers there: these are told from pictures' later.
            name = f"{head}mid.attn_1.{_VAE_ATTENTION.get(layer, layer)}.{kind}"
        for ours, original in _VAE_TOP.items():
            name = name.replace(f".{ours}.", f".{original}.")
        return name

    def shaped(name: str, tensor: Tensor) -> Tensor:
        is_matrix = ".attn_1." in name and tensor.ndim == 2
        return tensor[..., None, None] if is_matrix else tensor

    renamed = ((rename(name), tensor) for name, tensor in tensors.items())
    return {name: shaped(name, tensor) for name, tensor in renamed}
