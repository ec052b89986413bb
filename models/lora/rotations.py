"""Adapters that turn the rows of a weight: OFT (Qiu et al. 2023) and BOFT (Liu et al. 2024).

The layout of tensors is that of LyCORIS.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.lora.files import Parts


def rotated(weight: Tensor, parts: Parts, strength: float) -> Tensor:
    """The weight [out, ...], turned by ``strength`` of the way; float32."""
    blocks = parts["oft_blocks"].float()
    turns = rotations(parts, weight.shape[0])
    identity = torch.eye(turns.shape[-1], device=turns.device)
    turns = strength * turns + (1 - strength) * identity
    rescale = parts.get("oft_rescale")
    if blocks.ndim == 3:
        count, size = blocks.shape[:2]
        split = weight.float().reshape(count, size, *weight.shape[1:])
        result = torch.einsum("knm,kn...->km...", turns, split).flatten(0, 1)
    else:
        result = _butterfly(weight.float(), turns)
    if rescale is not None:
        scale = rescale.float().reshape(-1, *[1] * (weight.ndim - 1))
        result = result * (1 + strength * (scale - 1))
    return result


def rotations(parts: Parts, rows: int) -> Tensor:
    """The rotations [..., b, b] that the blocks stand for, of a weight with so many rows."""
    return _cayley(parts["oft_blocks"].float(), _constraint(parts, rows))


def _constraint(parts: Parts, rows: int) -> float:
    """How long all of the skew part may be; 0: as long as it is."""
    return float(parts["alpha"]) * rows if "alpha" in parts else 0.0


def _cayley(blocks: Tensor, constraint: float) -> Tensor:
    """Rotations [..., b, b] of free blocks: ``(I + Q)(I - Q)^-1`` with a skew Q."""
    skew = blocks - blocks.transpose(-1, -2)
    if constraint > 0:
        length = skew.norm() + 1e-8
        skew = torch.where(length > constraint, skew * (constraint / length), skew)
    identity = torch.eye(skew.shape[-1], device=skew.device).expand_as(skew)
    # (I + Q) and (I - Q)^-1 commute, so that a solve serves.
    result: Tensor = torch.linalg.solve(identity - skew, identity + skew)
    return result


def _butterfly(weight: Tensor, turns: Tensor) -> Tensor:
    """A product of block rotations [m, blocks, b, b], each over rows further apart."""
    size, tail = turns.shape[-1], weight.shape[1:]
    for level, turn in enumerate(turns):
        stride = 2**level * (size // 2)
        mixed = weight.reshape(-1, 2, stride, *tail).transpose(1, 2).reshape(-1, size, *tail)
        mixed = torch.einsum("kij,kj...->ki...", turn, mixed)
        weight = mixed.reshape(-1, stride, 2, *tail).transpose(1, 2).reshape(-1, *tail)
    return weight
