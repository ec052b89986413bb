"""ControlNets of Flux: configuration from shapes, built by diffusers.

Those of InstantX, Shakker Labs and others see the picture as a latent; that of AliMama for
inpainting sees a mask beside it. Those of XLabs, whose files have the original names of Flux, see
the picture itself.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from models.families.flux_transformer import PATCH, axes_of, parts_of
from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import FluxControlNetModel

MARK: Final = "controlnet_x_embedder.weight"
XLABS_MARK: Final = "pos_embed_input.weight"

_HINT: Final = re.compile(r"input_hint_block\.(\d+)\.(weight|bias)")


def is_flux_control(weights: Weights) -> bool:
    """Whether a file holds a ControlNet of Flux, in either layout."""
    return MARK in weights.tensors or XLABS_MARK in weights.tensors


def build_flux_control(weights: Weights, dtype: torch.dtype) -> Network[FluxControlNetModel]:
    """The network of a file that holds one."""
    from diffusers import FluxControlNetModel

    control = weights
    if XLABS_MARK in weights.tensors:
        control = replace(weights, tensors=dict(_in_diffusers_layout(weights)))
    config = control_config(control)
    width, seen = control.shape(MARK)

    def made() -> FluxControlNetModel:
        with warnings.catch_warnings():
            # diffusers 0.42 warns of an import of its own.
            warnings.simplefilter("ignore", FutureWarning)
            module = FluxControlNetModel(**config)
        module.controlnet_x_embedder = nn.Linear(seen, width)  # which may see a mask, too
        return module

    return assemble(made, control.tensors, dtype, weights.path)


def control_config(control: Weights) -> dict[str, object]:
    """Arguments of FluxControlNetModel for the tensors of a network (diffusers' names)."""
    width, channels = control.shape("x_embedder.weight")
    (head,) = control.shape("transformer_blocks.0.attn.norm_q.weight")
    sees_pixels = "input_hint_block.conv_out.weight" in control.tensors
    modes = control.tensors.get("controlnet_mode_embedder.weight")
    return {
        "patch_size": PATCH if sees_pixels else 1,
        "in_channels": channels,
        "num_layers": control.count("transformer_blocks.{}."),
        "num_single_layers": control.count("single_transformer_blocks.{}."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": control.shape("context_embedder.weight")[1],
        "pooled_projection_dim": control.shape("time_text_embed.text_embedder.linear_1.weight")[1],
        "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in control.tensors,
        "axes_dims_rope": axes_of(control, width, head),
        "num_mode": None if modes is None else len(modes),
        "conditioning_embedding_channels": channels // PATCH**2 if sees_pixels else None,
    }


def _in_diffusers_layout(control: Weights) -> Iterator[tuple[str, Tensor]]:
    """A network of XLabs; parts of weights are views."""
    for parameter, part in parts_of(control):
        yield parameter, part.of(control.tensors[part.weight])
    numbers = [int(match[1]) for name in control.tensors if (match := _HINT.fullmatch(name))]
    last = max(numbers, default=0)
    for name, tensor in control.tensors.items():
        hint = _HINT.fullmatch(name)
        if hint is not None:
            yield f"input_hint_block.{_hint_layer(int(hint[1]), last)}.{hint[2]}", tensor
        elif name.startswith("pos_embed_input."):
            yield name.replace("pos_embed_input", "controlnet_x_embedder"), tensor
        elif name.startswith("controlnet_"):
            yield name, tensor


def _hint_layer(number: int, last: int) -> str:
    """Diffusers' name of a convolution; every second number is an activation."""
    if number == 0:
        return "conv_in"
    return "conv_out" if number == last else f"blocks.{number // 2 - 1}"
