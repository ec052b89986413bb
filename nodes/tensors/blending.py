"""Blend modes of two pictures of the same shape, without alpha."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor


def _soft_light(a: Tensor, b: Tensor) -> Tensor:
    """As in W3C Compositing and Blending Level 1; `b` is the source."""
    light = torch.where(a <= 0.25, ((16 * a - 12) * a + 4) * a, a.sqrt())
    return torch.where(b <= 0.5, a - (1 - 2 * b) * a * (1 - a), a + (2 * b - 1) * (light - a))


MODES: Final[Mapping[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "normal": lambda a, b: b,
    "multiply": torch.mul,
    "screen": lambda a, b: 1 - (1 - a) * (1 - b),
    "overlay": lambda a, b: torch.where(a <= 0.5, 2 * a * b, 1 - 2 * (1 - a) * (1 - b)),
    "soft_light": _soft_light,
    "difference": torch.sub,
}


def blend(lower: Tensor, upper: Tensor, share: float, mode: str) -> Tensor:
    """`share` of what the mode makes of both, the rest of the lower one; clamped to 0..1."""
    return torch.lerp(lower, MODES[mode](lower, upper), share).clamp(0, 1)
