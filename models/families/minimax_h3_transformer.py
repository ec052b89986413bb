"""Transformers of MiniMax-H3: configuration from shapes, built by diffusers.

Files have the names of the authors, with q, k and v one after another in one weight as all files
for a single load have them, or those of diffusers; with or without a prefix.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from models.errors import UnsupportedLayout
from models.network import Network, assemble
from models.parts import Part, parts_of_conversion
from models.protocol.minimax_h3_layout import PATCH
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import MiniMaxH3Transformer3DModel

_MARK: Final = "token_refiner.blocks.0.attn.qkv_proj.weight"
_DIFFUSERS_MARK: Final = "token_refiner.refiner_blocks.0.attn.to_q.weight"
_PREFIXES: Final = ("model.diffusion_model.", "diffusion_model.", "transformer.")
_TABLE: Final = "adaln_t_table"  # of pruned files
_FREQUENCIES: Final = "rope.inv_freq"
_AXES: Final = 3
_ROTATED: Final = 3 / 4  # of a head, where the file does not hold the frequencies


def transformer_of(weights: Weights) -> Weights:
    """The transformer of a checkpoint, or of a file that holds nothing else; maybe no tensors."""
    for found in (weights, weights.below(*_PREFIXES)):
        if {_MARK, _DIFFUSERS_MARK} & found.tensors.keys():
            return found
    return Weights(path=weights.path, tensors={}, metadata=weights.metadata)


def transformer_config(h3: Weights) -> dict[str, Any]:
    """Arguments of MiniMaxH3Transformer3DModel for tensors with diffusers' names."""
    (head,) = h3.shape("transformer_blocks.0.attn.norm_q.weight", 1)
    inner, hidden = h3.shape("transformer_blocks.0.attn.to_q.weight", 2)
    if inner % head:
        raise UnsupportedLayout(h3.path, f"heads of {head} do not fit its width of {inner}")
    known = h3.tensors.get(_FREQUENCIES)
    frequencies = int(head * _ROTATED) // (2 * _AXES) if known is None else len(known)
    time_hidden, times = h3.shape("time_embedder.linear_1.weight", 2)
    return {
        "num_attention_heads": inner // head,
        "attention_head_dim": head,
        "hidden_size": hidden,
        "num_layers": h3.count("transformer_blocks.{}."),
        "num_refiner_layers": h3.count("token_refiner.refiner_blocks.{}."),
        "ffn_dim": h3.shape("transformer_blocks.0.ff.net.2.weight", 2)[1],
        "in_channels": h3.shape("proj_in.weight", 2)[1] // PATCH**2,
        "audio_in_channels": h3.shape("audio_proj_in.weight", 2)[1],
        "patch_size": (1, PATCH, PATCH),
        "text_dim": h3.shape("context_embedder.weight", 2)[1],
        "freq_dim": times,
        "time_embed_hidden_dim": time_hidden,
        "time_embed_dim": h3.shape("time_embedder.linear_2.weight", 2)[0],
        "rope_freq_dim": frequencies,
    }


def build_transformer(
    weights: Weights, dtype: torch.dtype
) -> Network[MiniMaxH3Transformer3DModel] | None:
    """The transformer of a file; None if there is none.

    Raises UnsupportedLayout for pruned files, which have a table in the place of what embeds times.
    """
    h3 = transformer_of(weights)
    if not h3.tensors:
        return None
    if _TABLE in h3.tensors:
        raise UnsupportedLayout(
            h3.path,
            "it is a pruned MiniMax-H3, whose table of times is not known here: load a file that "
            "is not pruned",
        )
    from diffusers import MiniMaxH3Transformer3DModel
    from diffusers.models.transformers.transformer_minimax_h3 import MiniMaxH3RotaryPosEmbed

    parts = _parts(h3.tensors)
    config = transformer_config(_as_diffusers(h3, parts))

    def factory() -> MiniMaxH3Transformer3DModel:
        module = MiniMaxH3Transformer3DModel(**config)
        with torch.device("cpu"):  # its frequencies are computed
            module.rope = MiniMaxH3RotaryPosEmbed(config["rope_freq_dim"])
        return module

    return assemble(factory, h3.tensors, dtype, weights.path, parts=parts)


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, Part]:
    """Every parameter of diffusers' network, and what it is of a weight in the file."""
    if _DIFFUSERS_MARK in tensors:
        return {}
    from diffusers.loaders.single_file_utils import (
        convert_minimax_h3_transformer_checkpoint_to_diffusers as convert,
    )

    return parts_of_conversion(lambda rows: convert(rows, {}), tensors)


def _as_diffusers(h3: Weights, parts: Mapping[str, Part]) -> Weights:
    """Shapes without values, by diffusers' names."""
    shapes = {
        name: torch.empty(part.shape(tuple(h3.tensors[part.weight].shape)), device="meta")
        for name, part in parts.items()
    }
    kept = {k: v for k, v in h3.tensors.items() if k == _FREQUENCIES or not parts}
    return Weights(path=h3.path, tensors=shapes | kept, metadata=h3.metadata)
