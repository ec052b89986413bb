"""Attention with rotary positions (Su et al. 2021)."""

from __future__ import annotations

from typing import Any

import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor


def rope(pos: Tensor, dim: int, theta: float) -> Tensor:
    """Rotations [..., dim / 2, 2, 2] for positions [...]."""
    scale = torch.arange(0, dim, 2, dtype=torch.float64, device=pos.device) / dim
    angles = pos.double()[..., None] / theta**scale
    cos, sin = angles.cos(), angles.sin()
    rows = torch.stack([cos, -sin, sin, cos], dim=-1)
    return rows.reshape(*rows.shape[:-1], 2, 2).float()


def apply_rope1(x: Tensor, freqs_cis: Tensor) -> Tensor:
    """x [..., D] with its pairs rotated."""
    pairs = x.float().reshape(*x.shape[:-1], -1, 1, 2)
    turned: Tensor = freqs_cis[..., 0] * pairs[..., 0] + freqs_cis[..., 1] * pairs[..., 1]
    return turned.reshape(x.shape).type_as(x)


def apply_rope(xq: Tensor, xk: Tensor, freqs_cis: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys with their pairs rotated."""
    return apply_rope1(xq, freqs_cis), apply_rope1(xk, freqs_cis)


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    pe: Tensor | None,
    mask: Tensor | None = None,
    transformer_options: dict[str, Any] | None = None,
) -> Tensor:
    """Attention of [B, heads, T, D] with rotated queries and keys, [B, T, heads D]."""
    if pe is not None:
        q, k = apply_rope(q, k, pe)
    return optimized_attention(q, k, v, q.shape[1], mask=mask, skip_reshape=True)
