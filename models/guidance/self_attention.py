"""Guidance away from what a UNet predicts with weakened self-attention in its middle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.guidance.attached import Predictions
from models.protocol.attention import attention
from models.protocol.options import Options, clone_options, set_patch_replace

NEGATIVE = 1  # in `cond_or_uncond`
BLUR = 9  # side of the kernel in latent pixels, as in the authors' code
SALIENT = 1.0  # a token that gets more attention than this, the mean, is blurred


def in_the_middle(options: Options, function: Any) -> Options:
    """Options with the self-attention in the middle of the UNet replaced."""
    return set_patch_replace(clone_options(options), function, "attn1", "middle", 0)


def identity(q: Tensor, k: Tensor, v: Tensor, told: dict[str, Any]) -> Tensor:
    """Every token attends to itself."""
    return v


def perturbed_attention(guided: Tensor, p: Predictions, scale: float) -> Tensor:
    """Perturbed-attention guidance (Ahn et al. 2024), equation 10, on top of other guidance."""
    if scale == 0:
        return guided
    perturbed = p.again(0, in_the_middle(p.options, identity))
    return guided + (p.positive - perturbed) * scale


@dataclass
class AttentionMap:
    """Watches how much attention tokens of the negative side get, in the middle of the UNet."""

    received: Tensor | None = None  # [B, h, w], 1 on average

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, told: dict[str, Any]) -> Tensor:
        """Attention as usual."""
        heads, sides = told["n_heads"], told["cond_or_uncond"]
        if NEGATIVE in sides:
            part = slice_of(sides.index(NEGATIVE), len(sides), q.shape[0])
            height, width = told["activations_shape"][-2:]
            self.received = received(q[part], k[part], heads).reshape(-1, height, width)
        return attention(q, k, v, heads)


def slice_of(index: int, count: int, batch: int) -> slice:
    """The items of one of several equal parts of a batch."""
    size = batch // count
    return slice(index * size, (index + 1) * size)


def received(q: Tensor, k: Tensor, heads: int) -> Tensor:
    """The attention that each token [B, T, heads D] gets from all, the mean over heads; [B, T]."""
    q, k = (t.reshape(*t.shape[:2], heads, -1).transpose(1, 2).float() for t in (q, k))
    weights = (q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])).softmax(dim=-1)
    return weights.mean(dim=1).sum(dim=1)


def self_attention(
    guided: Tensor, p: Predictions, watched: Tensor, *, scale: float, blur_sigma: float
) -> Tensor:
    """Self-attention guidance (Hong et al. 2023), algorithm 1, on top of other guidance.

    What gets most attention in the negative prediction is blurred, noised again and predicted
    anew; the result moves away from that. `watched` is AttentionMap.received.
    """
    salient = (watched > SALIENT).to(p.x.dtype).unsqueeze(1)
    mask = functional.interpolate(salient, size=p.x.shape[-2:], mode="nearest")
    degraded = torch.lerp(p.negative, gaussian_blur(p.negative, blur_sigma), mask)
    worse = p.of_latent(NEGATIVE, degraded + p.x - p.negative)
    return guided + (degraded - worse) * scale


def gaussian_blur(x: Tensor, sigma: float) -> Tensor:
    """x [B, C, h, w] blurred, with reflected edges; sigma 0 changes nothing."""
    if sigma == 0:
        return x
    radius = min(BLUR // 2, min(x.shape[-2:]) - 1)  # an edge can be reflected only so far
    line = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    weights = (-(line**2) / (2 * sigma**2)).exp()
    weights = weights / weights.sum()
    channels = x.shape[1]
    kernel = (weights[:, None] * weights[None, :]).expand(channels, 1, -1, -1)
    padded = functional.pad(x, (radius,) * 4, mode="reflect")
    return functional.conv2d(padded, kernel, groups=channels)
