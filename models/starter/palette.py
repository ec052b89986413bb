"""The colours the starter model knows: their names, synonyms and sRGB values.

Figures wear vivid colours and grounds soft ones, so that both may share a hue and be told apart.
"""

from __future__ import annotations

from typing import NamedTuple


class Color(NamedTuple):
    """A named sRGB colour, 0..255 per channel."""

    rgb: tuple[int, int, int]
    words: tuple[str, ...]  # first the plain name, then synonyms used in captions


FIGURE_COLORS: dict[str, Color] = {
    "red": Color((226, 44, 56), ("red", "crimson")),
    "orange": Color((250, 136, 28), ("orange",)),
    "yellow": Color((252, 208, 32), ("yellow", "golden")),
    "green": Color((52, 172, 74), ("green",)),
    "teal": Color((18, 172, 174), ("teal", "turquoise")),
    "blue": Color((44, 102, 226), ("blue",)),
    "purple": Color((132, 70, 204), ("purple", "violet")),
    "pink": Color((246, 106, 178), ("pink",)),
    "white": Color((252, 252, 254), ("white",)),
}

GROUND_COLORS: dict[str, Color] = {
    "white": Color((250, 249, 246), ("white",)),
    "gray": Color((196, 200, 208), ("gray", "grey")),
    "black": Color((34, 34, 44), ("black", "dark")),
    "red": Color((240, 138, 134), ("red",)),
    "orange": Color((254, 206, 154), ("orange", "peach")),
    "yellow": Color((254, 240, 170), ("yellow", "cream")),
    "green": Color((178, 226, 172), ("green", "mint")),
    "teal": Color((156, 224, 220), ("teal", "turquoise")),
    "blue": Color((154, 198, 244), ("blue", "sky blue")),
    "purple": Color((208, 184, 242), ("purple", "lavender")),
    "pink": Color((254, 208, 224), ("pink",)),
}

NIGHT_TOP, NIGHT_BOTTOM = (20, 22, 58), (58, 52, 112)
SUNSET_TOP, SUNSET_BOTTOM = (124, 96, 176), (254, 186, 130)
INK = (46, 38, 62)
BLUSH = (252, 138, 150)

# Pairs (figure, ground) too close to tell apart at a glance.
CLASHES = {("pink", "red"), ("orange", "red"), ("white", "yellow")}


def is_readable(figure: str, ground: str) -> bool:
    """Whether a figure of this colour stands out on a ground of that colour."""
    return figure != ground and (figure, ground) not in CLASHES
