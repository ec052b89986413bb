"""Guidance by two prompts beside the negative one, each with its scale.

All take and return predictions [B, C, ...].
"""

from __future__ import annotations

import torch
from torch import Tensor


def dual_cfg(
    positive: Tensor, middle: Tensor, negative: Tensor, *, cfg: float, cfg_middle: float
) -> Tensor:
    """Two conditions (Brooks et al. 2023, InstructPix2Pix, equation 3).

    The middle prompt is guided away from the negative one by cfg_middle, and the positive one
    away from the middle one by cfg.
    """
    return torch.lerp(negative, middle, cfg_middle) + (positive - middle) * cfg


def nested_cfg(
    positive: Tensor, middle: Tensor, negative: Tensor, *, cfg: float, cfg_middle: float
) -> Tensor:
    """The positive prompt guided away from the middle one, and both from the negative one."""
    return torch.lerp(negative, torch.lerp(middle, positive, cfg), cfg_middle)
