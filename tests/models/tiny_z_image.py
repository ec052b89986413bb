"""Tiny transformers of Z-Image with random weights, as diffusers makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.handle import ModelHandle
from models.load import unet_of
from models.memory import choose_policy
from models.weights import Weights

PROMPT = 64  # width of prompts
WIDTH = 96

# In diffusers, and as published.
_NAMES = (
    ("all_x_embedder.2-1", "x_embedder"),
    ("all_final_layer.2-1", "final_layer"),
    ("attention.norm_q", "attention.q_norm"),
    ("attention.norm_k", "attention.k_norm"),
    ("attention.to_out.0", "attention.out"),
)


def transformer(**changes: Any) -> Any:
    """One of two layers and one refiner of each kind; the same weights each time."""
    from diffusers import ZImageTransformer2DModel

    module = ZImageTransformer2DModel(
        **{
            "dim": WIDTH,
            "n_layers": 2,
            "n_refiner_layers": 1,
            "n_heads": 3,
            "n_kv_heads": 3,
            "cap_feat_dim": PROMPT,
            "axes_dims": [8, 12, 12],
        }
        | changes
    ).eval()
    chance = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data.normal_(0, 0.2, generator=chance)
    return module


def tensors(module: Any, prefix: str = "") -> dict[str, Tensor]:
    """Its weights, as files of the authors have them."""
    found = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    for name in [name for name in found if name.endswith("attention.to_q.weight")]:
        start = name.removesuffix("to_q.weight")
        pieces = [found.pop(f"{start}to_{kind}.weight") for kind in "qkv"]
        found[f"{start}qkv.weight"] = torch.cat(pieces)
    for theirs, published in _NAMES:
        found = {name.replace(theirs, published): tensor for name, tensor in found.items()}
    found["norm_final.weight"] = torch.ones(module.config.dim)  # published, and used by nothing
    return {prefix + name: tensor for name, tensor in found.items()}


def handle(module: Any, found: dict[str, Tensor] | None = None) -> ModelHandle:
    """A MODEL of its weights, or of what a file has of them, that computes on the CPU."""
    weights = Weights(path=Path("tiny.safetensors"), tensors=found or tensors(module))
    return unet_of(weights, choose_policy(cpu=True))


def normal(seed: int, *shape: int) -> Tensor:
    """Noise that is the same each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
