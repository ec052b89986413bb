"""Small parts of diffusion transformers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def pad_to_patch_size(
    img: Tensor, patch_size: Sequence[int] = (2, 2), padding_mode: str = "circular"
) -> Tensor:
    """img with its last axes padded at their ends to multiples of the patch."""
    padding: list[int] = []
    for size, patch in zip(reversed(img.shape[2:]), reversed(patch_size), strict=False):
        padding += [0, -size % patch]
    return functional.pad(img, padding, mode=padding_mode)


def rms_norm(x: Tensor, weight: Tensor | None = None, eps: float = 1e-6) -> Tensor:
    """x over the root of its mean square along the last axis."""
    if weight is None:
        return functional.rms_norm(x, (x.shape[-1],), eps=eps)
    return functional.rms_norm(x, weight.shape, weight.to(x), eps)
