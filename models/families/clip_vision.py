"""CLIP image encoders: configuration from shapes, built by transformers.

Files come in the layout of transformers or in that of OpenCLIP, as parts of unCLIP checkpoints do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection

_PREFIXES: Final = (
    "visual.",
    "embedder.model.visual.",
    "model.visual.",
    "conditioner.embedders.0.open_clip.model.visual.",  # Stable Video Diffusion
    "cond_stage_model.model.visual.",  # Zero-1-to-3
)
STABLE_VIDEO_PREFIX: Final = _PREFIXES[3]
_OPEN_CLIP: Final = {
    "class_embedding": "vision_model.embeddings.class_embedding",
    "conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "ln_pre": "vision_model.pre_layrnorm",
    "ln_post": "vision_model.post_layernorm",
}
_LAYER: Final = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}


def usual_heads(width: int) -> int:
    """The number of heads that an encoder of some width is taken for."""
    return 16 if width > 768 else 12


def build_clip_vision(
    weights: Weights, dtype: torch.dtype
) -> Network[CLIPVisionModelWithProjection] | None:
    """The image encoder of a file; None if there is none."""
    vision = _in_transformers_layout(weights)
    if "vision_model.embeddings.patch_embedding.weight" not in vision.tensors:
        return None
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    width, _, patch, _ = vision.shape("vision_model.embeddings.patch_embedding.weight")
    positions = vision.shape("vision_model.embeddings.position_embedding.weight")[0]
    side = round((positions - 1) ** 0.5)
    # The large ones (bigG and H) were trained by OpenCLIP, with the exact function.
    is_open_clip = width in (1280, 1664)
    options = vision.config("image_encoder")
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=vision.shape("vision_model.encoder.layers.0.mlp.fc1.weight")[0],
        num_hidden_layers=vision.count("vision_model.encoder.layers.{}."),
        num_attention_heads=options.get("num_attention_heads", usual_heads(width)),
        projection_dim=vision.shape("visual_projection.weight")[0],
        image_size=side * patch,
        patch_size=patch,
        hidden_act="gelu" if is_open_clip else "quick_gelu",
    )
    network = assemble(
        lambda: CLIPVisionModelWithProjection(config), vision.tensors, dtype, weights.path
    )
    embeddings = network.module.vision_model.embeddings
    # Not in the file as a rule, and so not assigned: the positions 0, 1, 2, ...
    embeddings.position_ids = torch.arange(positions).unsqueeze(0)
    return network


def _in_transformers_layout(weights: Weights) -> Weights:
    open_clip = weights.below(*_PREFIXES)
    if "transformer.resblocks.0.ln_1.weight" not in open_clip.tensors:
        return weights
    renamed: dict[str, Tensor] = {}
    for name, tensor in open_clip.tensors.items():
        renamed |= _renamed(name, tensor)
    return replace(weights, tensors=renamed)


def to_open_clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of transformers' encoder under the names of OpenCLIP."""
    top = {theirs: ours for ours, theirs in _OPEN_CLIP.items()}
    blocks = {theirs: ours for ours, theirs in _LAYER.items()}
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        match = re.fullmatch(r"vision_model\.encoder\.layers\.(\d+)\.(.+)\.(\w+)", name)
        stem, _, kind = name.rpartition(".")
        if name == "visual_projection.weight":
            renamed["proj"] = tensor.T
        elif name in top:
            renamed[top[name]] = tensor
        elif stem in top:
            renamed[f"{top[stem]}.{kind}"] = tensor
        elif match is not None and match[2] in blocks:
            renamed[f"transformer.resblocks.{match[1]}.{blocks[match[2]]}.{match[3]}"] = tensor
        elif match is not None and match[2] == "self_attn.q_proj":
            parts = [tensors[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            renamed[f"transformer.resblocks.{match[1]}.attn.in_proj_{kind}"] = torch.cat(parts)
    return renamed


def _renamed(name: str, tensor: Tensor) -> dict[str, Tensor]:
    if name == "proj":
        return {"visual_projection.weight": tensor.T.contiguous()}
    for ours, theirs in _OPEN_CLIP.items():
        if name == ours or name.startswith(f"{ours}."):
            return {theirs + name.removeprefix(ours): tensor}
    match = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+)\.(\w+)", name)
    if match is None:
        return {}
    layer = f"vision_model.encoder.layers.{match[1]}"
    if match[3].startswith("in_proj_"):
        kind = name.rpartition("_")[2]
        parts = zip("qkv", tensor.chunk(3), strict=True)
        return {f"{layer}.self_attn.{part}_proj.{kind}": piece for part, piece in parts}
    return {f"{layer}.{_LAYER[match[2]]}.{match[3]}": tensor}
