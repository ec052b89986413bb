"""Weights and pictures that are the same wherever they are drawn."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def drawn(name: str, shape: Sequence[int]) -> Tensor:
    """Numbers of a normal distribution, by a name."""
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randn(*shape, generator=generator)


def weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Weights under these names that keep what goes through a network at a size of about one."""
    return {name: _weight(name, shape) for name, shape in shapes.items()}


def _weight(name: str, shape: Sequence[int]) -> Tensor:
    values = drawn(name, shape)
    if len(shape) > 1 and "token" not in name and "pos_embed" not in name:
        return values * torch.tensor(shape[1:]).prod().float().rsqrt()
    if "norm" in name and name.endswith("weight"):
        return 1 + 0.1 * values
    return 0.3 * values


def picture(count: int, height: int, width: int) -> Tensor:
    """Pictures [B, 3, H, W] in 0..1 that are smooth."""
    noise = drawn("picture", (count, 3, 6, 6))
    scaled = torch.nn.functional.interpolate(noise, (height, width), mode="bicubic")
    return scaled.mul(0.3).add(0.5).clamp(0, 1)
