"""Where the tokens of Qwen-Image are: (frame, row, column), for rotary embeddings.

Rows and columns are counted from the middle of a picture, and the prompt goes on along the diagonal
from the corner (MSRoPE, Wu et al. 2025, arXiv:2508.02324).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from models.protocol.flux_positions import grid, moved

Shape = tuple[int, int, int]  # frames, rows, columns of tokens

_THETA: Final = 10000.0


def places_of(
    latent: Shape, references: Sequence[Shape], *, is_layered: bool, device: torch.device
) -> Tensor:
    """Positions [N, 3] of a latent's tokens, then of pictures to refer to, at the next frames.

    For a model of layers the picture that is taken apart comes before the frames, at -1.
    """
    found = [_centred(latent, 0, device)]
    for number, shape in enumerate(references):
        found.append(_centred(shape, -1 - number if is_layered else number + 1, device))
    return torch.cat(found)


def _centred(shape: Shape, index: int, device: torch.device) -> Tensor:
    frames, rows, columns = shape
    top, left = rows // 2 - rows, columns // 2 - columns
    return torch.cat(
        [
            grid(rows, columns, index=index + frame, top=top, left=left, device=device)
            for frame in range(frames)
        ]
    )


def first_of_prompt(latent: Shape, references: Sequence[Shape], *, is_layered: bool) -> int:
    """The position of the prompt's first token, along each axis."""
    sides = [max(rows // 2, columns // 2) for _, rows, columns in (latent, *references)]
    return max(*sides, latent[0]) if is_layered else max(sides)


class Positions(nn.Module):
    """Rotations of queries and keys, computed anew for each call: it holds no tables."""

    def __init__(self, axes: Sequence[int]) -> None:
        """`axes` are the widths of a head that tell the frame, the row and the column."""
        super().__init__()
        self.axes = tuple(axes)
        self.is_layered = False
        self.options: Mapping[str, float] | None = None  # see flux_positions.moved

    def forward(
        self,
        shapes: Sequence[Sequence[Shape]],
        max_txt_seq_len: int,
        device: torch.device | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Complex [N, head / 2] of the pictures' tokens and [T, head / 2] of the prompt's.

        `shapes` are those of the latent and of the pictures beside it, the same for each row.
        """
        device = device or torch.device("cpu")
        latent, *references = shapes[0]
        places = places_of(latent, references, is_layered=self.is_layered, device=device)
        first = first_of_prompt(latent, references, is_layered=self.is_layered)
        prompt = torch.arange(first, first + max_txt_seq_len, device=device)
        return self._rotations(moved(places, self.options)), self._rotations(
            prompt[:, None].expand(-1, len(self.axes))
        )

    def _rotations(self, places: Tensor) -> Tensor:
        angles = [
            places[:, axis, None].float() * _frequencies(width, places.device)
            for axis, width in enumerate(self.axes)
        ]
        turned = torch.cat(angles, dim=1)
        return torch.polar(torch.ones_like(turned), turned)


def _frequencies(width: int, device: torch.device) -> Tensor:
    powers = torch.arange(0, width, 2, device=device, dtype=torch.float32) / width
    return 1.0 / torch.pow(_THETA, powers)
