"""Differential diffusion: a mask that says how much of the run each place is painted for."""

from __future__ import annotations

from torch import Tensor


def differential_mask(mask: Tensor, progress_left: Tensor | float, strength: float) -> Tensor:
    """Levin and Fried 2023, algorithm 1: where to paint (1) with so much of the run left.

    mask [B, ...] in 0..1: a place is painted while its value is at least `progress_left`, which
    goes from 1 to 0. `strength` below 1 mixes the soft mask in.
    """
    binary = (mask >= progress_left).to(mask.dtype)
    return binary if strength >= 1 else mask.lerp(binary, strength)
