"""Transformers of Chroma: configuration from shapes, built by diffusers.

Lodestone Rock 2025, https://huggingface.co/lodestones/Chroma1-HD: blocks of Flux, all modulated by
one small network. Weights keep the names of their authors.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import torch

from models.families.flux_transformer import MARK as FLUX_MARK
from models.families.flux_transformer import PREFIX, axes_of, layers, parts_of
from models.network import Network, assemble
from models.parts import Part, joined
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import ChromaTransformer2DModel

_MODULATION: Final = "distilled_guidance_layer"
MARKS: Final = (
    f"{_MODULATION}.in_proj.weight", FLUX_MARK, "img_in.weight", "final_layer.linear.weight",
)  # fmt: skip
DIFFUSERS_MARKS: Final = (
    f"{_MODULATION}.in_proj.weight", "transformer_blocks.0.attn.add_q_proj.weight",
)  # fmt: skip


def transformer_of(weights: Weights) -> Weights:
    """The transformer of a checkpoint, or of a file that holds nothing else; maybe no tensors."""
    return weights if _is_one(weights) else weights.below(PREFIX, "diffusion_model.")


def recognise(weights: Weights) -> bool:
    """Blocks of Flux on latents, and what modulates them."""
    return _is_one(transformer_of(weights))


def _is_one(weights: Weights) -> bool:
    return all(name in weights.tensors for name in MARKS)


def transformer_config(chroma: Weights) -> dict[str, Any]:
    """Arguments of ChromaTransformer2DModel for the tensors of a transformer (original names).

    Raises UnsupportedLayout for heads that do not fit.
    """
    width, channels = chroma.shape("img_in.weight", 2)
    (head,) = chroma.shape("double_blocks.0.img_attn.norm.query_norm.scale", 1)
    hidden, inputs = chroma.shape(f"{_MODULATION}.in_proj.weight", 2)
    return {
        "in_channels": channels,
        "out_channels": chroma.shape("final_layer.linear.weight", 2)[0],
        "num_layers": chroma.count("double_blocks.{}."),
        "num_single_layers": chroma.count("single_blocks.{}."),
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": chroma.shape("txt_in.weight", 2)[1],
        "axes_dims_rope": axes_of(chroma, width, head),
        "approximator_num_channels": inputs,
        "approximator_hidden_dim": hidden,
        "approximator_layers": chroma.count(f"{_MODULATION}.layers.{{}}."),
    }


def build_transformer(
    weights: Weights, dtype: torch.dtype
) -> Network[ChromaTransformer2DModel] | None:
    """The transformer of a file; None if there is none."""
    chroma = transformer_of(weights)
    if not _is_one(chroma):
        return None
    from diffusers import ChromaTransformer2DModel
    from diffusers.models.transformers.transformer_chroma import (
        ChromaCombinedTimestepTextProjEmbeddings,
    )

    config = transformer_config(chroma)

    def factory() -> ChromaTransformer2DModel:
        with warnings.catch_warnings():  # it takes its positions from where they used to be
            warnings.simplefilter("ignore", FutureWarning)
            module = ChromaTransformer2DModel(**config)
        made = module.time_text_embed.mod_proj
        # A table that no file holds; for training it must not come from inference mode.
        with torch.device("cpu"), torch.inference_mode(False):
            module.time_text_embed = ChromaCombinedTimestepTextProjEmbeddings(
                num_channels=config["approximator_num_channels"] // 4, out_dim=len(made)
            )
        return module

    return assemble(factory, chroma.tensors, dtype, weights.path, parts=_parts(chroma))


def _modulation_layers(weights: Weights) -> dict[str, tuple[str, ...]]:
    """Original layers of what modulates -> those of diffusers."""
    found: dict[str, tuple[str, ...]] = {
        name: (name,) for name in (f"{_MODULATION}.in_proj", f"{_MODULATION}.out_proj")
    }
    for number in range(weights.count(f"{_MODULATION}.layers.{{}}.")):
        layer, norm = f"{_MODULATION}.layers.{number}", f"{_MODULATION}.norms.{number}"
        found[f"{layer}.in_layer"] = (f"{layer}.linear_1",)
        found[f"{layer}.out_layer"] = (f"{layer}.linear_2",)
        found[norm] = (norm,)
    return found


def _parts(chroma: Weights) -> Mapping[str, Part]:
    parts = dict(parts_of(chroma))
    for original, (layer,) in _modulation_layers(chroma).items():
        for theirs, kind in (("weight", "weight"), ("bias", "bias"), ("scale", "weight")):
            if f"{original}.{theirs}" in chroma.tensors:
                parts[f"{layer}.{kind}"] = Part(f"{original}.{theirs}")
    return parts


def in_original_layout(weights: Weights) -> Weights:
    """A transformer in the layout of diffusers with its original names."""
    double = weights.count("transformer_blocks.{}.")
    table = layers(double, weights.count("single_transformer_blocks.{}."))
    tensors = joined(weights.tensors, table | _modulation_layers(weights))
    return replace(weights, tensors={_with_scale(name): t for name, t in tensors.items()})


def _with_scale(name: str) -> str:
    """What norms have is a `scale` originally."""
    is_norm = name.endswith("_norm.weight") or f"{_MODULATION}.norms." in name
    return name.removesuffix("weight") + "scale" if is_norm else name
