"""CLIP text encoders in the layout of open_clip: names there and in transformers, both ways."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

MARK: Final = "transformer.resblocks.0.ln_1.weight"

_TOP: Final = {
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
}
_BLOCK: Final = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_JOINT: Final = ("q_proj", "k_proj", "v_proj")
_PROJECTION: Final = "text_projection"


def to_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """open_clip's tensors under transformers' names, as views; what these lack is left out."""
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        block = re.fullmatch(r"transformer\.resblocks\.(\d+)\.(.+)([._])(weight|bias)", name)
        if name in _TOP:
            renamed[_TOP[name]] = tensor
        elif name == _PROJECTION:  # (width, projected), used as `x @ text_projection`
            renamed[f"{_PROJECTION}.weight"] = tensor.t()
        elif name == f"{_PROJECTION}.weight":
            renamed[name] = tensor
        elif block is not None:
            number, layer, _, kind = block.groups()
            there = f"text_model.encoder.layers.{number}"
            if layer == "attn.in_proj":
                for part, rows in zip(_JOINT, tensor.chunk(3), strict=True):
                    renamed[f"{there}.self_attn.{part}.{kind}"] = rows
            elif layer in _BLOCK:
                renamed[f"{there}.{_BLOCK[layer]}.{kind}"] = tensor
    return renamed


def to_open_clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse."""
    top = {there: here for here, there in _TOP.items()}
    blocks = {there: here for here, there in _BLOCK.items()}
    renamed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        block = re.fullmatch(r"text_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
        if name in top:
            renamed[top[name]] = tensor
        elif name == f"{_PROJECTION}.weight":
            renamed[_PROJECTION] = tensor.t()
        elif block is not None:
            number, layer, kind = block.groups()
            here = f"transformer.resblocks.{number}"
            if layer in blocks:
                renamed[f"{here}.{blocks[layer]}.{kind}"] = tensor
            elif layer == "self_attn.q_proj":
                parts = [name.replace("q_proj", part) for part in _JOINT]
                renamed[f"{here}.attn.in_proj_{kind}"] = torch.cat([tensors[p] for p in parts])
    return renamed
