"""Nodes of later releases that make curves of brightness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nodes.base import inputs
from nodes.schema import SchemaNode

_KINDS: Final = ("monotone_cubic", "linear")
_STRAIGHT: Final = {"points": [[0, 0], [1, 1]], "interpolation": _KINDS[0]}


class CurveEditor(SchemaNode):
    """A curve through points that a client draws, over a histogram if there is one."""

    DISPLAY_NAME = "Curve Editor"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_curve"
    CATEGORY = "utils"
    HAS_INTERMEDIATE_OUTPUT = True
    REQUIRED = inputs(curve=("CURVE", {"default": _STRAIGHT, "socketless": True}))
    OPTIONAL = inputs(histogram=("HISTOGRAM",))
    RETURN_TYPES = ("CURVE",)
    RETURN_NAMES = ("curve",)

    def run(self, curve: Any, histogram: Sequence[int] | None = None) -> dict[str, Any]:
        """Takes points alone as well: their curve is monotone cubic. Raises ValueError."""
        given = curve if isinstance(curve, Mapping) else {"points": curve}
        kind = given.get("interpolation", _KINDS[0])
        if kind not in _KINDS:
            raise ValueError(f"a curve is interpolated {' or '.join(_KINDS)}, not {kind!r}")
        made = {"points": _points(given.get("points")), "interpolation": kind}
        shown = {} if histogram is None else {"histogram": list(histogram)}
        return {"ui": shown, "result": (made,)}


def _points(given: Any) -> list[list[float]]:
    """Pairs of numbers in the order of the first; at least two, at different places."""
    try:
        points = sorted([float(x), float(y)] for x, y in given)
    except (TypeError, ValueError):
        raise ValueError("a curve goes through a list of points [x, y]") from None
    if len({x for x, _ in points}) < 2:
        raise ValueError("a curve goes through at least two points at different places")
    return points
