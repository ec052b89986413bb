"""Tiny transformers of Stable Diffusion 3 with random weights, in both layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor

from models.families.mmdit import in_original_layout
from models.weights import Weights
from tests.models.tiny import save

PROMPT, POOLED = 24, 20  # widths
CONFIG: Final[dict[str, Any]] = {
    "sample_size": 16,
    "num_layers": 3,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "joint_attention_dim": PROMPT,
    "caption_projection_dim": 16,
    "pooled_projection_dim": POOLED,
    "pos_embed_max_size": 8,
}
MEDIUM_35: Final[dict[str, Any]] = CONFIG | {"qk_norm": "rms_norm", "dual_attention_layers": (0, 1)}
STATED: Final = {"unet": {"num_attention_heads": 2}}


def transformer(config: dict[str, Any]) -> SD3Transformer2DModel:
    """The network by itself."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = SD3Transformer2DModel(**config).eval().requires_grad_(False)
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    return module


def diffusers_tensors(module: SD3Transformer2DModel) -> dict[str, Tensor]:
    """The weights as diffusers saves them."""
    return {name: tensor.contiguous() for name, tensor in module.state_dict().items()}


def original_tensors(module: SD3Transformer2DModel) -> dict[str, Tensor]:
    """The weights as the authors published them, without prefix."""
    weights = Weights(path=Path("tiny"), tensors=diffusers_tensors(module))
    return {name: t.contiguous() for name, t in in_original_layout(weights).tensors.items()}


def save_transformer(path: Path, module: SD3Transformer2DModel, prefix: str = "") -> Path:
    """Write a file in the original layout."""
    tensors = {prefix + name: tensor for name, tensor in original_tensors(module).items()}
    return save(path, tensors, STATED)


def inputs(batch: int = 2, height: int = 8, width: int = 12) -> dict[str, Tensor]:
    """What a call takes, by the names of models.protocol.mmdit."""
    generator = torch.Generator().manual_seed(5)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return {
        "x": normal(batch, 16, height, width),
        "timesteps": torch.tensor([700.0, 30.0])[:batch],
        "context": normal(batch, 7, PROMPT),
        "y": normal(batch, POOLED),
    }


def evaluated(module: SD3Transformer2DModel, given: dict[str, Tensor], **more: Any) -> Tensor:
    """What the network itself says of inputs."""
    output: Tensor = module(
        given["x"], given["context"], given["y"], given["timesteps"], return_dict=False, **more
    )[0]
    return output
