"""A picture of how a loss went, drawn with Pillow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont

_SIZE: Final = (800, 480)
_LEFT, _TOP, _RIGHT, _BOTTOM = 80, 40, 780, 420  # corners of the plot in pixels
_TICKS: Final = 6  # about as many on each axis
_SMOOTHING: Final = 0.9  # weight of what came before, in the smooth line
_BACK, _INK, _GRID = "#ffffff", "#333333", "#e0e0e0"
_RAW, _SMOOTH = "#a6c8e8", "#1f5fa8"

Span = tuple[float, float]


def loss_picture(losses: Sequence[float]) -> Image.Image:
    """RGB; the loss of each step, and an exponential mean of it, over the steps.

    Steps whose loss is no finite number are left out. Raises ValueError where no step is left.
    """
    known = [(n, float(loss)) for n, loss in enumerate(losses, 1) if math.isfinite(loss)]
    if not known:
        raise ValueError("there is no loss to draw: nothing was trained, or all of it is no number")
    numbers, finite = zip(*known, strict=True)
    picture = Image.new("RGB", _SIZE, _BACK)
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(14)
    steps = (1.0, float(max(2, len(losses))))
    values = _span(finite)
    for tick in ticks(*values):
        y = _at(tick, values, (_BOTTOM, _TOP))
        pen.line((_LEFT, y, _RIGHT, y), fill=_GRID)
        pen.text((_LEFT - 8, y), f"{tick:.4g}", fill=_INK, font=font, anchor="rm")
    for tick in ticks(*steps):
        if tick == int(tick):
            x = _at(tick, steps, (_LEFT, _RIGHT))
            pen.line((x, _BOTTOM, x, _BOTTOM + 5), fill=_INK)
            pen.text((x, _BOTTOM + 8), f"{tick:.0f}", fill=_INK, font=font, anchor="mt")
    pen.rectangle((_LEFT, _TOP, _RIGHT, _BOTTOM), outline=_INK)
    middle = (_LEFT + _RIGHT) // 2
    last = f"loss of {len(losses)} steps, the last {losses[-1]:.4g}"
    pen.text((middle, _TOP - 12), last, fill=_INK, font=font, anchor="mb")
    pen.text((middle, _BOTTOM + 30), "step", fill=_INK, font=font, anchor="mt")
    for line, color, width in ((finite, _RAW, 1), (list(_smooth(finite)), _SMOOTH, 3)):
        points = [
            (_at(step, steps, (_LEFT, _RIGHT)), _at(value, values, (_BOTTOM, _TOP)))
            for step, value in zip(numbers, line, strict=True)
        ]
        if len(points) == 1:
            x, y = points[0]
            pen.ellipse((x - 3, y - 3, x + 3, y + 3), fill=color)
        pen.line(points, fill=color, width=width, joint="curve")
    return picture


def ticks(low: float, high: float) -> Iterator[float]:
    """Round numbers between two, some 5 of them: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    for count in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield count * step


def _span(values: Sequence[float]) -> Span:
    """Lowest and highest, with a margin."""
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
    return low - margin, high + margin


def _smooth(values: Sequence[float]) -> Iterator[float]:
    """The exponential mean so far, without a bias to the first (Kingma & Ba 2015)."""
    mean = weight = 0.0
    for value in values:
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        yield mean / weight


def _at(value: float, span: Span, pixels: tuple[int, int]) -> float:
    share = (value - span[0]) / (span[1] - span[0])
    return pixels[0] + share * (pixels[1] - pixels[0])
