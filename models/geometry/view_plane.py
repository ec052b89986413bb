"""Places in a picture, in proportion to its diagonal."""

from __future__ import annotations

import torch
from torch import Tensor


def view_plane(rows: int, columns: int, aspect: float, like: Tensor) -> Tensor:
    """Where pixels lie in a picture whose half diagonal is 1: x and y [1, 2, rows, columns].

    `aspect` is the picture's width by its height; numbers are of the kind of `like`.
    """
    diagonal = (1 + aspect**2) ** 0.5
    ends = [
        extent / diagonal * (count - 1) / count
        for extent, count in ((aspect, columns), (1.0, rows))
    ]
    x, y = (
        torch.linspace(-end, end, count, dtype=like.dtype, device=like.device)
        for end, count in zip(ends, (columns, rows), strict=True)
    )
    return torch.stack(torch.meshgrid(x, y, indexing="xy"))[None]
