"""Bounding boxes with what is said of them, in the forms in which nodes pass them on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

SCALE: Final = 1000  # of boxes that are given in parts of a picture
_MOST_COLORS: Final = 5


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle in pixels, and what is to be there."""

    x: float
    y: float
    width: float
    height: float
    type: str = "obj"  # or "text"
    text: str = ""
    description: str = ""
    palette: tuple[str, ...] = ()

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.x, self.y, self.x + self.width, self.y + self.height

    @property
    def plain(self) -> dict[str, int]:
        """The rectangle alone."""
        return {
            "x": round(self.x),
            "y": round(self.y),
            "width": round(self.width),
            "height": round(self.height),
        }

    def element(self, width: int, height: int) -> dict[str, Any]:
        """As prompts of layout models have it: top, left, bottom, right in thousandths."""
        left, top, right, bottom = self.corners
        edges = ((top, height), (left, width), (bottom, height), (right, width))
        element: dict[str, Any] = {
            "type": self.type,
            "bbox": [min(SCALE, max(0, round(edge / side * SCALE))) for edge, side in edges],
        }
        if self.type == "text":
            element["text"] = self.text
        element["desc"] = self.description
        if self.palette:
            element["color_palette"] = list(self.palette[:_MOST_COLORS])
        return element


def boxes_of(given: Any, width: int, height: int) -> list[Box]:
    """The boxes in a box, an element, JSON text of them, or lists of such.

    Elements are measured in a picture of that size. Raises ValueError for anything else.
    """
    return list(_boxes(given, width, height))


def _boxes(given: Any, width: int, height: int) -> Iterator[Box]:
    if given is None:
        return
    if isinstance(given, str):
        if not given.strip():
            return
        try:
            given = json.loads(given)
        except ValueError as error:
            raise ValueError(f"boxes in text must be JSON: {error}") from None
    if isinstance(given, Mapping):
        yield _box(given, width, height)
    elif isinstance(given, Sequence) and not isinstance(given, str):
        for item in given:
            yield from _boxes(item, width, height)
    else:
        raise ValueError(f"a box has x, y, width and height, not {given!r}")


def _box(given: Mapping[str, Any], width: int, height: int) -> Box:
    said = given.get("metadata")
    said = given if not isinstance(said, Mapping) else said
    try:
        if "bbox" in given:
            top, left, bottom, right = (float(edge) / SCALE for edge in given["bbox"])
            place = (left * width, top * height, (right - left) * width, (bottom - top) * height)
        else:
            x, y, wide, high = (float(given[name]) for name in ("x", "y", "width", "height"))
            place = (x, y, wide, high)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"a box has x, y, width and height, not {given!r}") from None
    palette = said.get("palette") or said.get("color_palette") or ()
    return Box(
        x=place[0],
        y=place[1],
        width=place[2],
        height=place[3],
        type="text" if said.get("type") == "text" else "obj",
        text=str(said.get("text") or ""),
        description=str(said.get("desc") or ""),
        palette=tuple(str(color) for color in palette),
    )
