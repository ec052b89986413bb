"""Porter-Duff compositing of pictures with alpha.

T. Porter and T. Duff, "Compositing digital images", 1984; darken, lighten, multiply, screen and
overlay as in W3C Compositing and Blending Level 1. S and D are colours times alpha, s and d alphas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import torch
from torch import Tensor

_Mode: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

_LEAST_ALPHA = 1e-5  # what is more transparent has no colour


def _over(S: Tensor, D: Tensor, s: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return S + (1 - s) * D, s + (1 - s) * d


def _atop(S: Tensor, D: Tensor, s: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return d * S + (1 - s) * D, d


def _in(S: Tensor, D: Tensor, s: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return S * d, s * d


def _out(S: Tensor, D: Tensor, s: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return (1 - d) * S, (1 - d) * s


def _swapped(mode: _Mode) -> _Mode:
    return lambda S, D, s, d: mode(D, S, d, s)


def _union(s: Tensor, d: Tensor) -> Tensor:
    return s + d - s * d


def _extreme(choose: Callable[[Tensor, Tensor], Tensor]) -> _Mode:
    return lambda S, D, s, d: ((1 - d) * S + (1 - s) * D + choose(S, D), _union(s, d))


def _overlay(S: Tensor, D: Tensor, s: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    # The standard has (s - S) * (d - D); recorded are colours with each other's alpha.
    dark, light = 2 * S * D, s * d - 2 * (d - S) * (s - D)
    return torch.where(d > 2 * D, dark, light), _union(s, d)


MODES: Final[Mapping[str, _Mode]] = {
    "ADD": lambda S, D, s, d: ((S + D).clamp(0, 1), (s + d).clamp(0, 1)),
    "CLEAR": lambda S, D, s, d: (torch.zeros_like(D), torch.zeros_like(d)),
    "DARKEN": _extreme(torch.minimum),
    "DST": lambda S, D, s, d: (D, d),
    "DST_ATOP": _swapped(_atop),
    "DST_IN": _swapped(_in),
    "DST_OUT": _swapped(_out),
    "DST_OVER": _swapped(_over),
    "LIGHTEN": _extreme(torch.maximum),
    "MULTIPLY": lambda S, D, s, d: (S * D, s * d),
    "OVERLAY": _overlay,
    "SCREEN": lambda S, D, s, d: (S + D - S * D, _union(s, d)),
    "SRC": lambda S, D, s, d: (S, s),
    "SRC_ATOP": _atop,
    "SRC_IN": _in,
    "SRC_OUT": _out,
    "SRC_OVER": _over,
    "XOR": lambda S, D, s, d: ((1 - d) * S + (1 - s) * D, (1 - d) * s + (1 - s) * d),
}


def composite(
    source: Tensor, source_alpha: Tensor, lower: Tensor, lower_alpha: Tensor, mode: str
) -> tuple[Tensor, Tensor]:
    """Colours [B, H, W, C], not times alpha, and alphas [B, H, W, 1]: the same of the result."""
    color, alpha = MODES[mode](
        source * source_alpha, lower * lower_alpha, source_alpha, lower_alpha
    )
    color = torch.where(alpha > _LEAST_ALPHA, color / alpha, torch.zeros_like(color))
    return color.clamp(0, 1), alpha
