"""Tiny transformers of Chroma with random weights, as diffusers makes them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.handle import ModelHandle
from models.load import unet_of
from models.memory import choose_policy
from models.weights import Weights

PROMPT = 24  # width of prompts
WIDTH = 64

# Layers in diffusers -> as published; parts of one weight follow one another.
_LAYERS = (
    (r"x_embedder", "img_in"),
    (r"context_embedder", "txt_in"),
    (r"proj_out", "final_layer.linear"),
    (r"(distilled_guidance_layer\.layers\.\d+)\.linear_1", r"\1.in_layer"),
    (r"(distilled_guidance_layer\.layers\.\d+)\.linear_2", r"\1.out_layer"),
    (r"transformer_blocks\.(\d+)\.attn\.to_[qkv]", r"double_blocks.\1.img_attn.qkv"),
    (r"transformer_blocks\.(\d+)\.attn\.add_[qkv]_proj", r"double_blocks.\1.txt_attn.qkv"),
    (r"transformer_blocks\.(\d+)\.attn\.norm_q", r"double_blocks.\1.img_attn.norm.query_norm"),
    (r"transformer_blocks\.(\d+)\.attn\.norm_k", r"double_blocks.\1.img_attn.norm.key_norm"),
    (r"transformer_blocks\.(\d+)\.attn\.norm_added_q",
     r"double_blocks.\1.txt_attn.norm.query_norm"),
    (r"transformer_blocks\.(\d+)\.attn\.norm_added_k", r"double_blocks.\1.txt_attn.norm.key_norm"),
    (r"transformer_blocks\.(\d+)\.attn\.to_out\.0", r"double_blocks.\1.img_attn.proj"),
    (r"transformer_blocks\.(\d+)\.attn\.to_add_out", r"double_blocks.\1.txt_attn.proj"),
    (r"transformer_blocks\.(\d+)\.ff\.net\.0\.proj", r"double_blocks.\1.img_mlp.0"),
    (r"transformer_blocks\.(\d+)\.ff\.net\.2", r"double_blocks.\1.img_mlp.2"),
    (r"transformer_blocks\.(\d+)\.ff_context\.net\.0\.proj", r"double_blocks.\1.txt_mlp.0"),
    (r"transformer_blocks\.(\d+)\.ff_context\.net\.2", r"double_blocks.\1.txt_mlp.2"),
    (r"single_transformer_blocks\.(\d+)\.attn\.to_[qkv]", r"single_blocks.\1.linear1"),
    (r"single_transformer_blocks\.(\d+)\.proj_mlp", r"single_blocks.\1.linear1"),
    (r"single_transformer_blocks\.(\d+)\.proj_out", r"single_blocks.\1.linear2"),
    (r"single_transformer_blocks\.(\d+)\.attn\.norm_q", r"single_blocks.\1.norm.query_norm"),
    (r"single_transformer_blocks\.(\d+)\.attn\.norm_k", r"single_blocks.\1.norm.key_norm"),
)  # fmt: skip


def transformer(**changes: Any) -> Any:
    """One of two blocks of each kind; the same weights each time."""
    module = built(
        **{
            "num_layers": 2,
            "num_single_layers": 2,
            "attention_head_dim": 32,
            "num_attention_heads": 2,
            "joint_attention_dim": PROMPT,
            "axes_dims_rope": (4, 14, 14),
            "approximator_num_channels": 32,
            "approximator_hidden_dim": 32,
            "approximator_layers": 2,
        }
        | changes
    ).eval()
    chance = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data.normal_(0, 0.1, generator=chance)
    return module


def built(**config: Any) -> Any:
    """One as diffusers makes it, which warns of a name of its own."""
    from diffusers import ChromaTransformer2DModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return ChromaTransformer2DModel(**config)


def tensors(module: Any, prefix: str = "") -> dict[str, Tensor]:
    """Its weights, as files of the author have them."""
    state = module.state_dict()
    order = sorted(state, key=lambda name: "proj_mlp" in name)  # after queries, keys and values
    found: dict[str, list[Tensor]] = {}
    for name in order:
        found.setdefault(prefix + _published(name), []).append(state[name].clone())
    return {name: torch.cat(pieces) for name, pieces in found.items()}


def _published(name: str) -> str:
    layer, _, kind = name.rpartition(".")
    for pattern, published in _LAYERS:
        if re.fullmatch(pattern, layer):
            layer = re.sub(pattern, published, layer)
            break
    is_norm = layer.endswith("_norm") or ".norms." in layer
    return f"{layer}.scale" if is_norm else f"{layer}.{kind}"


def handle(module: Any, found: dict[str, Tensor] | None = None) -> ModelHandle:
    """A MODEL of its weights, or of what a file has of them, that computes on the CPU."""
    weights = Weights(path=Path("tiny.safetensors"), tensors=found or tensors(module))
    return unet_of(weights, choose_policy(cpu=True))
