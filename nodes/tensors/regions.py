"""Rectangles in pictures: cut out, and found around what a mask shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from nodes.tensors.masks import grow
from nodes.tensors.pictures import in_color, scaled

_FAINT: Final = 0.05  # what a mask shows less than this is nothing
_SOLID: Final = 0.8  # what counts for the box around it


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle in pixels."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def of(cls, box: Mapping[str, int]) -> Region:
        """From what clients send; raises ValueError for what is no box."""
        try:
            values = {name: int(box[name]) for name in ("x", "y", "width", "height")}
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"a box has x, y, width and height, not {box!r}") from None
        return cls(**values)

    def moved_into(self, width: int, height: int) -> Region:
        """It begins inside of a picture of that size, and has a pixel at least."""
        return Region(
            x=min(max(self.x, 0), width - 1),
            y=min(max(self.y, 0), height - 1),
            width=max(self.width, 1),
            height=max(self.height, 1),
        )

    def cut(self, image: Tensor) -> Tensor:
        """The part of [B, H, W, C] that lies in it; it begins inside."""
        return image[:, self.y : self.y + self.height, self.x : self.x + self.width]

    def widened(self, ratio: float, factor: float) -> Region:
        """With sides of a ratio, around the same centre, `factor` times as large."""
        width = max(self.width, self.height * ratio) * factor
        height = max(self.height, self.width / ratio) * factor
        x = self.x + self.width / 2 - width / 2
        y = self.y + self.height / 2 - height / 2
        return Region(
            x=round(x), y=round(y), width=max(1, round(width)), height=max(1, round(height))
        )

    def cut_padded(self, image: Tensor) -> Tensor:
        """The part of [H, W, C] that lies in it, with zeros for what lies outside."""
        cut = image.new_zeros(self.height, self.width, image.shape[-1])
        rows = _overlap(self.y, self.height, image.shape[0])
        columns = _overlap(self.x, self.width, image.shape[1])
        if rows[1] > rows[0] and columns[1] > columns[0]:
            part = image[rows[0] : rows[1], columns[0] : columns[1]]
            cut[rows[0] - self.y : rows[1] - self.y, columns[0] - self.x : columns[1] - self.x] = (
                part
            )
        return cut


def _overlap(start: int, length: int, size: int) -> tuple[int, int]:
    return max(0, start), min(size, start + length)


def crop_to_mask(
    image: Tensor,
    mask: Tensor,
    width: int,
    height: int,
    pad_factor: float,
    growth: int,
    background: Sequence[float],
) -> Tensor:
    """A picture [H, W, C] cut to what its mask shows, [height, width, 3], on a colour.

    A mask that shows the edge and not the centre is taken as inverted; one that shows nothing is
    inverted, and if that shows nothing either, all is shown.
    """
    alpha = scaled_mask(mask, image.shape[1], image.shape[0])
    if _shows_surroundings(alpha):
        alpha = 1 - alpha
    alpha = grow(alpha, growth, tapered=True)[0]
    alpha = torch.where(alpha < _FAINT, 0.0, alpha)
    if not bool((alpha > _SOLID).any()):
        alpha = 1 - alpha
    if not bool((alpha > _SOLID).any()):
        alpha = torch.ones_like(alpha)
    layers = torch.cat((in_color(image)[..., :3], alpha[..., None].to(image)), dim=-1)
    shrink = max(width, height) / max(image.shape[:2])
    if shrink < 1:
        sides = (round(image.shape[1] * shrink), round(image.shape[0] * shrink))
        layers = scaled(layers[None], *sides, "lanczos")[0]
    shown = layers[..., 3] > _SOLID
    rows, columns = shown.any(dim=1).nonzero(), shown.any(dim=0).nonzero()
    if len(rows) == 0:  # lost by shrinking
        rows, columns = torch.arange(layers.shape[0]), torch.arange(layers.shape[1])
    x, y = int(columns.min()), int(rows.min())
    box = Region(x=x, y=y, width=int(columns.max()) + 1 - x, height=int(rows.max()) + 1 - y)
    cut = box.widened(width / height, pad_factor).cut_padded(layers)
    color = torch.tensor(list(background)).to(cut)
    blended = cut[..., :3] * cut[..., 3:] + color * (1 - cut[..., 3:])
    return scaled(blended[None], width, height, "lanczos")[0]


def scaled_mask(mask: Tensor, width: int, height: int) -> Tensor:
    """[1, H, W] with other sides."""
    return scaled(mask[None, ..., None], width, height, "bilinear")[..., 0]


def _shows_surroundings(mask: Tensor) -> bool:
    edge = torch.cat((mask[:, 0], mask[:, -1], mask[:, :, 0], mask[:, :, -1]), dim=-1)
    height, width = mask.shape[-2:]
    centre = mask[:, height // 4 : height - height // 4, width // 4 : width - width // 4]
    return bool(edge.mean() > 0.5 and centre.mean() < 0.5)
