"""Nodes of later releases that make curves of brightness, and tables of such curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from nodes.base import inputs
from nodes.schema import SchemaNode

_KINDS: Final = ("monotone_cubic", "linear")

Curve: TypeAlias = Mapping[str, Any]  # CURVE on a link: {"points": [[x, y], ...], "interpolation"}
STRAIGHT: Final[Curve] = {"points": [[0, 0], [1, 1]], "interpolation": _KINDS[0]}


class CurveEditor(SchemaNode):
    """A curve through points that a client draws, over a histogram if there is one."""

    DISPLAY_NAME = "Curve Editor"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_curve"
    CATEGORY = "utils"
    HAS_INTERMEDIATE_OUTPUT = True
    REQUIRED = inputs(curve=("CURVE", {"default": STRAIGHT, "socketless": True}))
    OPTIONAL = inputs(histogram=("HISTOGRAM",))
    RETURN_TYPES = ("CURVE",)
    RETURN_NAMES = ("curve",)

    def run(self, curve: Any, histogram: Sequence[int] | None = None) -> dict[str, Any]:
        """Takes points alone as well: their curve is monotone cubic. Raises ValueError."""
        made = _read(curve)
        shown = {} if histogram is None else {"histogram": list(histogram)}
        return {"ui": shown, "result": (made,)}


def curve_table(curve: Curve, steps: int) -> NDArray[np.float32]:
    """The values of a curve at `steps` places from 0 to 1; level beyond its ends.

    The monotone cubic is that of Fritsch and Butland (1984), as SciPy has it. Raises ValueError.
    """
    from scipy.interpolate import PchipInterpolator

    made = _read(curve)
    points = np.array(made["points"])
    x, first = np.unique(points[:, 0], return_index=True)
    y = points[first, 1]
    places = np.linspace(0, 1, steps).clip(x[0], x[-1])
    if made["interpolation"] == "linear":
        values = np.interp(places, x, y)
    else:
        values = PchipInterpolator(x, y)(places)
    return np.asarray(values, np.float32)


def _read(curve: Any) -> dict[str, Any]:
    """A curve of points in order. Raises ValueError."""
    given = curve if isinstance(curve, Mapping) else {"points": curve}
    kind = given.get("interpolation", _KINDS[0])
    if kind not in _KINDS:
        raise ValueError(f"a curve is interpolated {' or '.join(_KINDS)}, not {kind!r}")
    return {"points": _points(given.get("points")), "interpolation": kind}


def _points(given: Any) -> list[list[float]]:
    """Pairs of numbers in the order of the first; at least two, at different places."""
    try:
        points = sorted([float(x), float(y)] for x, y in given)
    except (TypeError, ValueError):
        raise ValueError("a curve goes through a list of points [x, y]") from None
    if len({x for x, _ in points}) < 2:
        raise ValueError("a curve goes through at least two points at different places")
    return points
