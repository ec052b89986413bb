"""Quarter turns and mirror images of pictures, masks and latents."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

ROTATIONS: Final = ["none", "90 degrees", "180 degrees", "270 degrees"]
FLIPS: Final = ["x-axis: vertically", "y-axis: horizontally"]


def rotated(values: Tensor, rotation: str, *, axes: tuple[int, int]) -> Tensor:
    """Clockwise by one of ROTATIONS; `axes` are those of rows and columns."""
    rows, columns = axes
    return torch.rot90(values, k=ROTATIONS.index(rotation), dims=(columns, rows))


def flipped(values: Tensor, method: str, *, axes: tuple[int, int]) -> Tensor:
    """Mirrored by one of FLIPS; `axes` are those of rows and columns."""
    return values.flip(axes[FLIPS.index(method)])
