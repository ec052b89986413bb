"""Mahiro: guidance that leans to the positive prompt where both prompts point the same way."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def mahiro(guided: Tensor, positive: Tensor, negative: Tensor, cfg: float) -> Tensor:
    """The guided prediction, drawn towards cfg times the positive one.

    How much depends on how alike cfg times the negative prediction and the mean of guided and
    cfg times positive are, by the cosine of their signed square roots along the channels.
    """
    leap = positive * cfg
    alike = functional.cosine_similarity(
        _signed_root(negative * cfg), _signed_root((leap + guided) / 2)
    ).mean()
    weight = (alike + 1) / 2  # 0 for opposite directions, 1 for equal ones
    return torch.lerp(leap, guided, weight)


def _signed_root(x: Tensor) -> Tensor:
    return x.abs().sqrt() * x.sign()
