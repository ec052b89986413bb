"""Boxes and tracks drawn over pictures, with Pillow."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from PIL import Image, ImageColor, ImageDraw
from torch import Tensor

from nodes.tensors.pictures import in_color

_COLORS: Final = ("#e6194b", "#3cb44b", "#ffe119", "#4363d8", "#f58231", "#911eb4", "#46f0f0")
_SWATCH: Final = 10  # pixels
_LINE_HEIGHT: Final = 12


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What is drawn of one box."""

    corners: tuple[float, float, float, float]  # left, top, right, bottom in pixels
    lines: Sequence[str] = ()  # texts inside, from the top
    swatches: Sequence[str] = ()  # colours inside, at the bottom; what is none is left out


def draw(image: Tensor, frames: Iterable[Frame]) -> Tensor:
    """A picture [H, W, 3] in 0..1 with frames, each in a colour of its own, counted round."""
    picture = _picture(image)
    pen = ImageDraw.Draw(picture)
    for number, frame in enumerate(frames):
        color = _COLORS[number % len(_COLORS)]
        left, top, right, bottom = frame.corners
        left, right = sorted((left, right))
        top, bottom = sorted((top, bottom))
        pen.rectangle((left, top, right, bottom), outline=color, width=2)
        for row, line in enumerate(frame.lines):
            pen.text((left + 4, top + 2 + row * _LINE_HEIGHT), line, fill=color)
        place = left + 4
        for swatch in filter(_is_color, frame.swatches):
            area = (place, bottom - _SWATCH - 4, place + _SWATCH, bottom - 4)
            pen.rectangle(area, fill=swatch)
            place += _SWATCH + 2
    return _tensor(picture)


@dataclass(frozen=True, kw_only=True)
class Brush:
    """How tracks are drawn."""

    radius: float  # of the circle at a point, in pixels
    width: int  # of the line behind it, in pixels
    opacity: float  # 0..1


def draw_trails(
    image: Tensor, trails: Iterable[Sequence[tuple[float, float]] | None], brush: Brush
) -> Tensor:
    """A picture [H, W, 3] in 0..1 with the ways that points have come, the last place a circle.

    Each has a colour of its own, counted round; one that is None counts, and is not drawn.
    """
    picture = _picture(image)
    drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    for number, trail in enumerate(trails):
        if not trail:
            continue
        color = _COLORS[number % len(_COLORS)]
        if len(trail) > 1:
            pen.line(list(trail), fill=color, width=brush.width, joint="curve")
        pen.circle(trail[-1], brush.radius, fill=color)
    return _tensor(Image.blend(picture, drawn, brush.opacity))


def _picture(image: Tensor) -> Image.Image:
    levels = (in_color(image).cpu() * 255).clamp(0, 255).to(torch.uint8).numpy()
    return Image.fromarray(np.ascontiguousarray(levels))


def _tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).float().div_(255)


def _is_color(text: str) -> bool:
    try:
        ImageColor.getrgb(text)
    except ValueError:
        return False
    return True
