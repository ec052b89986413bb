"""What the diffusion transformers of diffusers share: widths of prompts, whole patches."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput


def check_prompt(module: Any, context: Tensor, pooled: Tensor) -> None:
    """Raise InvalidInput for a prompt [B, T, D], pooled [B, P], that was encoded for another model.

    Control networks that do not see the prompt take any.
    """
    given = context.shape[-1], pooled.shape[-1]
    config = module.config
    wanted = config.joint_attention_dim or given[0], config.pooled_projection_dim
    if given != wanted:
        raise InvalidInput(
            f"the model takes prompts of width {wanted[0]} and {wanted[1]} (pooled), not of "
            f"{given[0]} and {given[1]}: encode them with text encoders for it"
        )


def whole_patches(x: Tensor, size: int) -> Tensor:
    """x [B, C, h, w], continued at its lower and right edges by its other ends to whole patches."""
    height, width = (-side % size for side in x.shape[-2:])
    return x if not height and not width else functional.pad(x, (0, width, 0, height), "circular")
