"""Tiny transformers of Qwen-Image with random weights, as diffusers makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.handle import ModelHandle
from models.load import unet_of
from models.memory import choose_policy
from models.weights import Weights

PROMPT = 24  # width
HEAD = 32


def transformer(**changes: Any) -> Any:
    """One of two blocks; the same weights each time."""
    from diffusers import QwenImageTransformer2DModel

    module = QwenImageTransformer2DModel(
        **{
            "in_channels": 64,
            "out_channels": 16,
            "num_layers": 2,
            "attention_head_dim": HEAD,
            "num_attention_heads": 2,
            "joint_attention_dim": PROMPT,
            "axes_dims_rope": (4, 14, 14),
        }
        | changes
    ).eval()
    return _with_noise(module)


def transformer21(**changes: Any) -> Any:
    """One of Qwen-Image 2.1 of two blocks; the same weights each time."""
    from diffusers import QwenImage21Transformer2DModel

    module = QwenImage21Transformer2DModel(
        **{
            "num_layers": 2,
            "attention_head_dim": HEAD,
            "num_attention_heads": 2,
            "context_in_dim": PROMPT,
            "axes_dims_rope": (4, 14, 14),
        }
        | changes
    ).eval()
    return _with_noise(module)


def _with_noise(module: Any) -> Any:
    chance = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data.normal_(0, 0.2, generator=chance)
    return module


def tensors(module: Any, prefix: str = "") -> dict[str, Tensor]:
    """Its weights, as files have them."""
    return {prefix + name: tensor.clone() for name, tensor in module.state_dict().items()}


def handle(module: Any, found: dict[str, Tensor] | None = None) -> ModelHandle:
    """A MODEL of its weights, or of what a file has of them, that computes on the CPU."""
    weights = Weights(path=Path("tiny.safetensors"), tensors=found or tensors(module))
    return unet_of(weights, choose_policy(cpu=True))


def normal(seed: int, *shape: int) -> Tensor:
    """Noise that is the same each time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
