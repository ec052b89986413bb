"""Where the tokens of Flux are: (index of the picture, row, column), for rotary embeddings.

The latent is picture 0. FLUX.1 Kontext (https://arxiv.org/abs/2506.15742) has pictures to refer to
at other indices, UNO (https://arxiv.org/abs/2504.02160) along the diagonal from the latent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from models.errors import InvalidInput

Sides = tuple[int, int]  # rows, columns


def grid(
    rows: int, columns: int, *, index: int = 0, top: int = 0, left: int = 0, device: torch.device
) -> Tensor:
    """Positions [rows columns, 3] of a picture, row by row."""
    places = torch.zeros(rows, columns, 3, device=device)
    places[..., 0] = index
    places[..., 1] = torch.arange(top, top + rows, device=device)[:, None]
    places[..., 2] = torch.arange(left, left + columns, device=device)
    return places.flatten(0, 1)


def reference_grids(
    references: Sequence[Sides], latent: Sides, method: str | None, device: torch.device
) -> list[Tensor]:
    """Positions of pictures to refer to, by one of the methods that nodes offer.

    offset: all at index 1, beside or below those before, whichever makes less of a strip.
    index: each at an index of its own. uxo or uno: at index 0, along the diagonal.
    """
    if method in (None, "offset"):
        return _tiled(references, device)
    if method == "index":
        return [grid(*sides, index=i, device=device) for i, sides in enumerate(references, 1)]
    if method in ("uxo", "uno", "uxo/uno"):
        return _diagonal(references, latent, device)
    raise InvalidInput(f"Flux cannot place pictures to refer to by the method '{method}'")


def moved(places: Tensor, options: Mapping[str, float] | None) -> Tensor:
    """Positions [N, 3] of pictures times a scale, plus a shift, along each axis.

    options: `scale_t`, `shift_t` of the index, those of y of the row, those of x of the column.
    """
    if not options:
        return places
    scales, shifts = (
        places.new_tensor([options.get(f"{kind}_{axis}", usual) for axis in "tyx"])
        for kind, usual in (("scale", 1.0), ("shift", 0.0))
    )
    return places * scales + shifts


def _tiled(references: Sequence[Sides], device: torch.device) -> list[Tensor]:
    height = width = 0
    found = []
    for rows, columns in references:
        beside = rows + height > columns + width
        top, left = (0, width) if beside else (height, 0)
        found.append(grid(rows, columns, index=1, top=top, left=left, device=device))
        height, width = max(height, top + rows), max(width, left + columns)
    return found


def _diagonal(references: Sequence[Sides], latent: Sides, device: torch.device) -> list[Tensor]:
    top, left = latent
    found = []
    for rows, columns in references:
        found.append(grid(rows, columns, top=top, left=left, device=device))
        top, left = top + rows, left + columns
    return found
