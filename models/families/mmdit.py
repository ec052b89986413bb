"""Transformers of Stable Diffusion 3 (MMDiT): configuration from shapes, built by diffusers.

Esser et al. 2024, https://arxiv.org/abs/2403.03206. Those of 3.5 norm queries and keys; some blocks
of 3.5 medium have a second attention, of the picture to itself (MMDiT-X).
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch

from models.errors import CheckpointUnreadable, UnsupportedLayout
from models.network import Network, assemble
from models.parts import Part, joined, parts_of_conversion
from models.protocol.mmdit import HEAD_WIDTH
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import SD3Transformer2DModel

PREFIX: Final = "model.diffusion_model."
MARK: Final = "joint_blocks.0.context_block.attn.qkv.weight"
DIFFUSERS_MARKS: Final = ("pos_embed.proj.weight", "transformer_blocks.0.attn.add_q_proj.weight")

_TOP: Final = {
    "x_embedder.proj": ("pos_embed.proj",),
    "t_embedder.mlp.0": ("time_text_embed.timestep_embedder.linear_1",),
    "t_embedder.mlp.2": ("time_text_embed.timestep_embedder.linear_2",),
    "y_embedder.mlp.0": ("time_text_embed.text_embedder.linear_1",),
    "y_embedder.mlp.2": ("time_text_embed.text_embedder.linear_2",),
    "context_embedder": ("context_embedder",),
    "final_layer.adaLN_modulation.1": ("norm_out.linear",),
    "final_layer.linear": ("proj_out",),
}
_BLOCK: Final = {
    "x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "x_block.attn.ln_q": ("attn.norm_q",),
    "x_block.attn.ln_k": ("attn.norm_k",),
    "x_block.attn.proj": ("attn.to_out.0",),
    "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
    "x_block.attn2.ln_q": ("attn2.norm_q",),
    "x_block.attn2.ln_k": ("attn2.norm_k",),
    "x_block.attn2.proj": ("attn2.to_out.0",),
    "x_block.adaLN_modulation.1": ("norm1.linear",),
    "x_block.mlp.fc1": ("ff.net.0.proj",),
    "x_block.mlp.fc2": ("ff.net.2",),
    "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "context_block.attn.ln_q": ("attn.norm_added_q",),
    "context_block.attn.ln_k": ("attn.norm_added_k",),
    "context_block.attn.proj": ("attn.to_add_out",),
    "context_block.adaLN_modulation.1": ("norm1_context.linear",),
    "context_block.mlp.fc1": ("ff_context.net.0.proj",),
    "context_block.mlp.fc2": ("ff_context.net.2",),
}


def mmdit_of(weights: Weights) -> Weights:
    """The transformer of a checkpoint, or of a file that holds nothing else; maybe no tensors."""
    return weights if MARK in weights.tensors else weights.below(PREFIX)


def mmdit_config(mmdit: Weights) -> dict[str, object]:
    """Arguments of SD3Transformer2DModel for the tensors of a transformer (original names)."""
    width, channels, patch, _ = mmdit.shape("x_embedder.proj.weight", 4)
    side = table_side(mmdit, "pos_embed")
    heads = mmdit.config("unet").get("num_attention_heads", max(width // HEAD_WIDTH, 1))
    if width % heads:
        raise UnsupportedLayout(mmdit.path, f"{heads} heads do not divide its width of {width}")
    projection, context = mmdit.shape("context_embedder.weight", 2)
    is_normed = "joint_blocks.0.x_block.attn.ln_q.weight" in mmdit.tensors
    return {
        "sample_size": side * patch,
        "pos_embed_max_size": side,
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": mmdit.shape("final_layer.linear.weight", 2)[0] // patch**2,
        "num_layers": mmdit.count("joint_blocks.{}."),
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "joint_attention_dim": context,
        "caption_projection_dim": projection,
        "pooled_projection_dim": mmdit.shape("y_embedder.mlp.0.weight", 2)[1],
        "dual_attention_layers": dual_layers(mmdit),
        "qk_norm": "rms_norm" if is_normed else None,
    }


def table_side(weights: Weights, name: str) -> int:
    """How many positions a table has along each side."""
    positions = weights.shape(name, 3)[1]
    side = math.isqrt(positions)
    if side * side != positions:
        raise UnsupportedLayout(weights.path, f"its table of {positions} positions is not square")
    return side


def dual_layers(mmdit: Weights) -> tuple[int, ...]:
    """The blocks with a second attention."""
    pattern = re.compile(r"joint_blocks\.(\d+)\.x_block\.attn2\.qkv\.weight")
    return tuple(sorted(int(match[1]) for name in mmdit.tensors if (match := pattern.match(name))))


def build_mmdit(weights: Weights, dtype: torch.dtype) -> Network[SD3Transformer2DModel] | None:
    """The transformer of a file; None if there is none. Its weights keep their original names."""
    mmdit = mmdit_of(weights)
    if MARK not in mmdit.tensors:
        return None
    from diffusers import SD3Transformer2DModel

    config = mmdit_config(mmdit)
    return assemble(
        lambda: SD3Transformer2DModel(**config),
        mmdit.tensors,
        dtype,
        weights.path,
        parts=_parts(mmdit),
    )


def _parts(mmdit: Weights) -> dict[str, Part]:
    from diffusers.loaders.single_file_utils import (
        convert_sd3_transformer_checkpoint_to_diffusers as convert,
    )

    try:
        return parts_of_conversion(convert, mmdit.tensors)
    except KeyError as error:
        raise CheckpointUnreadable(mmdit.path, f"the tensor {error} is missing") from error


def in_original_layout(weights: Weights) -> Weights:
    """A transformer in the layout of diffusers with its original names."""
    depth = weights.count("transformer_blocks.{}.")
    layers: dict[str, tuple[str, ...]] = {**_TOP}
    for index in range(depth):
        for original, pieces in _BLOCK.items():
            name = f"joint_blocks.{index}.{original}"
            layers[name] = tuple(f"transformer_blocks.{index}.{piece}" for piece in pieces)
    # The last block only looks at the prompt: a norm with halves in diffusers' order.
    last = f"joint_blocks.{depth - 1}.context_block.adaLN_modulation.1"
    tensors = joined(weights.tensors, layers, {"final_layer.adaLN_modulation.1", last})
    if "pos_embed.pos_embed" in weights.tensors:
        tensors["pos_embed"] = weights.tensors["pos_embed.pos_embed"]
    return replace(weights, tensors=tensors)
