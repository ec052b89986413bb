"""Where the tokens of Z-Image are: (index, row, column), for rotary embeddings.

The prompt's tokens have the indices from 1 on; the picture comes after them, at the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor

from models.protocol.flux_positions import moved

_THETA: Final = 256.0
_MULTIPLE: Final = 32  # prompts are filled up to multiples of so many tokens


def index_of_picture(tokens: int) -> int:
    """The index of the picture after a prompt of so many tokens."""
    return tokens + -tokens % _MULTIPLE + 1


class Positions:
    """Rotations of queries and keys, computed anew for each call: it holds no tables."""

    def __init__(self, axes: Sequence[int]) -> None:
        """`axes` are the widths of a head that tell the index, the row and the column."""
        self.axes = tuple(axes)
        self.picture = 0  # its index in this call
        self.options: Mapping[str, float] | None = None  # see flux_positions.moved

    def __call__(self, ids: Tensor) -> Tensor:
        """Complex [N, head / 2] of positions [N, 3]; only those in the picture may be moved."""
        places = ids.float()
        if self.options:
            is_picture = ids[:, :1] == self.picture
            places = torch.where(is_picture, moved(places, self.options), places)
        angles = [
            places[:, axis, None].double() * _frequencies(width, ids.device)
            for axis, width in enumerate(self.axes)
        ]
        turned = torch.cat(angles, dim=1).float()
        return torch.polar(torch.ones_like(turned), turned)


def _frequencies(width: int, device: torch.device) -> Tensor:
    powers = torch.arange(0, width, 2, device=device, dtype=torch.float64) / width
    return 1.0 / torch.pow(_THETA, powers)
