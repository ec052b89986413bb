"""Lists of sigmas cut, turned round, refined and read from text. Nothing is changed in place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor

_NUMBER: Final = re.compile(r"[-+]?\d*\.?\d+")

# How far along a step its added points are, for equal distances from 0 to 1.
SPACINGS: Final[Mapping[str, Callable[[float], float]]] = {
    "linear": lambda u: u,
    "cosine": lambda u: math.sin(u * math.pi / 2),
    "sine": lambda u: 1 - math.cos(u * math.pi / 2),
}


def split(sigmas: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Before and after a step; the sigma in between is in both."""
    return sigmas[: step + 1], sigmas[step:]


def split_by_denoise(sigmas: Tensor, denoise: float) -> tuple[Tensor, Tensor]:
    """Before and after, the second part having the given share of the steps.

    As in ComfyUI the first part is empty if that share is no step.
    """
    kept = round(max(len(sigmas) - 1, 0) * denoise)
    return sigmas[:-kept] if kept else sigmas[:0], sigmas[-(kept + 1) :]


def flip(sigmas: Tensor) -> Tensor:
    """From last to first; a leading 0 becomes 0.0001, since samplers divide by sigma."""
    flipped = sigmas.flip(0)
    if len(flipped) and flipped[0] == 0:
        flipped[0] = 0.0001
    return flipped


def with_first(sigmas: Tensor, sigma: float) -> Tensor:
    """The list with another first sigma; an empty one stays so."""
    changed = sigmas.clone()
    changed[:1] = sigma
    return changed


def extended(sigmas: Tensor, steps: int, start: float, end: float, spacing: str) -> Tensor:
    """Divide every step that starts between two sigmas (start >= end) into so many steps.

    A negative start means the first one. `spacing` is a name in SPACINGS.
    """
    start = math.inf if start < 0 else start
    levels: list[float] = sigmas.tolist()
    places = [SPACINGS[spacing](i / steps) for i in range(1, steps)]
    refined: list[float] = []
    for sigma, sigma_next in pairwise(levels):
        refined.append(sigma)
        if end <= sigma <= start:
            refined += [sigma + (sigma_next - sigma) * place for place in places]
    return torch.tensor(refined + levels[-1:])


def parsed(text: str) -> Tensor:
    """All numbers in a text, whatever is between them; exponents are numbers of their own."""
    return torch.tensor([float(number) for number in _NUMBER.findall(text)])
