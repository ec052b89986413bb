"""Transformers of Flux: configuration from shapes, built by diffusers.

Black Forest Labs 2024, https://github.com/black-forest-labs/flux. Weights keep the names that they
have there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from models.errors import UnsupportedLayout
from models.network import Network, assemble
from models.parts import Part, Rows, joined
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import FluxTransformer2DModel

PATCH: Final = 2  # sides of a token, in latent pixels
PREFIX: Final = "model.diffusion_model."
MARK: Final = "double_blocks.0.img_attn.qkv.weight"
DIFFUSERS_MARKS: Final = (
    "single_transformer_blocks.0.proj_mlp.weight", "time_text_embed.text_embedder.linear_1.weight",
)  # fmt: skip

# Original layers -> those of diffusers that they are made of, in order.
_TOP: Final = {
    "img_in": ("x_embedder",),
    "txt_in": ("context_embedder",),
    "time_in.in_layer": ("time_text_embed.timestep_embedder.linear_1",),
    "time_in.out_layer": ("time_text_embed.timestep_embedder.linear_2",),
    "vector_in.in_layer": ("time_text_embed.text_embedder.linear_1",),
    "vector_in.out_layer": ("time_text_embed.text_embedder.linear_2",),
    "guidance_in.in_layer": ("time_text_embed.guidance_embedder.linear_1",),
    "guidance_in.out_layer": ("time_text_embed.guidance_embedder.linear_2",),
    "final_layer.adaLN_modulation.1": ("norm_out.linear",),
    "final_layer.linear": ("proj_out",),
}
_DOUBLE: Final = {
    "img_mod.lin": ("norm1.linear",),
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "img_attn.norm.query_norm": ("attn.norm_q",),
    "img_attn.norm.key_norm": ("attn.norm_k",),
    "img_attn.proj": ("attn.to_out.0",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mod.lin": ("norm1_context.linear",),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "txt_attn.norm.query_norm": ("attn.norm_added_q",),
    "txt_attn.norm.key_norm": ("attn.norm_added_k",),
    "txt_attn.proj": ("attn.to_add_out",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
}
_SINGLE: Final = {
    "modulation.lin": ("norm.linear",),
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "norm.query_norm": ("attn.norm_q",),
    "norm.key_norm": ("attn.norm_k",),
}
# Its halves are (shift, scale) originally and (scale, shift) in diffusers.
_SWAPPED: Final = frozenset({"final_layer.adaLN_modulation.1"})


def layers(double: int, single: int) -> dict[str, tuple[str, ...]]:
    """All original layers of a network with so many blocks -> those of diffusers."""
    found: dict[str, tuple[str, ...]] = dict(_TOP)
    for index in range(double):
        for original, pieces in _DOUBLE.items():
            inner = tuple(f"transformer_blocks.{index}.{piece}" for piece in pieces)
            found[f"double_blocks.{index}.{original}"] = inner
    for index in range(single):
        for original, pieces in _SINGLE.items():
            inner = tuple(f"single_transformer_blocks.{index}.{piece}" for piece in pieces)
            found[f"single_blocks.{index}.{original}"] = inner
    return found


def transformer_of(weights: Weights) -> Weights:
    """The transformer of a checkpoint, or of a file that holds nothing else; maybe no tensors."""
    return weights if MARK in weights.tensors else weights.below(PREFIX, "diffusion_model.")


def transformer_config(flux: Weights) -> dict[str, object]:
    """Arguments of FluxTransformer2DModel for the tensors of a transformer (original names)."""
    width, channels = flux.shape("img_in.weight", 2)
    (head,) = flux.shape("double_blocks.0.img_attn.norm.query_norm.scale")
    return {
        "in_channels": channels,
        "out_channels": flux.shape("final_layer.linear.weight", 2)[0],
        "num_layers": flux.count("double_blocks.{}."),
        "num_single_layers": flux.count("single_blocks.{}."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": flux.shape("txt_in.weight", 2)[1],
        "pooled_projection_dim": flux.shape("vector_in.in_layer.weight", 2)[1],
        "guidance_embeds": "guidance_in.in_layer.weight" in flux.tensors,
        "axes_dims_rope": axes_of(flux, width, head),
    }


def axes_of(flux: Weights, width: int, head: int) -> tuple[int, int, int]:
    """Widths of a head that tell the index of a picture, the row and the column in it.

    16, 56 and 56 in published networks. Raises UnsupportedLayout for heads that do not fit.
    """
    rotated = head * 7 // 16
    if width % head or head % 8 or rotated % 2:
        raise UnsupportedLayout(flux.path, f"heads of {head} do not fit its width of {width}")
    return head - 2 * rotated, rotated, rotated


def build_transformer(
    weights: Weights, dtype: torch.dtype
) -> Network[FluxTransformer2DModel] | None:
    """The transformer of a file; None if there is none."""
    flux = transformer_of(weights)
    if MARK not in flux.tensors:
        return None
    from diffusers import FluxTransformer2DModel

    config = transformer_config(flux)
    return assemble(
        lambda: FluxTransformer2DModel(**config),
        flux.tensors,
        dtype,
        weights.path,
        parts=dict(parts_of(flux)),
    )


def parts_of(flux: Weights) -> Iterator[tuple[str, Part]]:
    """Every parameter of blocks and embeddings, and what it is of a weight."""
    width = flux.shape("img_in.weight")[0]
    blocks = flux.count("double_blocks.{}."), flux.count("single_blocks.{}.")
    for original, pieces in layers(*blocks).items():
        for kind in ("weight", "bias"):
            name = f"{original}.scale" if original.endswith("_norm") else f"{original}.{kind}"
            if name in flux.tensors:
                rows = len(flux.tensors[name])
                for piece, part in zip(
                    pieces, _cut(original, len(pieces), width, rows), strict=True
                ):
                    yield f"{piece}.{kind}", Part(name, part)


def _cut(original: str, count: int, width: int, rows: int) -> list[Rows | None]:
    """The rows of a weight that each of its parts has: all but the last are as wide as tokens."""
    if original in _SWAPPED:
        return [((rows // 2, rows), (0, rows // 2))]
    if count == 1:
        return [None]
    bounds = [*(width * index for index in range(count)), rows]
    return [((start, stop),) for start, stop in pairwise(bounds)]


def in_original_layout(weights: Weights) -> Weights:
    """A transformer in the layout of diffusers with its original names."""
    double = weights.count("transformer_blocks.{}.")
    table = layers(double, weights.count("single_transformer_blocks.{}."))
    tensors = joined(weights.tensors, table, _SWAPPED)
    return replace(weights, tensors=dict(_with_scales(tensors)))


def _with_scales(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """What norms of queries and keys have is a `scale` originally."""
    for name, tensor in tensors.items():
        yield name.replace("_norm.weight", "_norm.scale"), tensor
