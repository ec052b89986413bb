"""Nodes that calculate, convert and choose numbers."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from nodes.base import inputs
from nodes.math_expression import evaluate
from nodes.schema import DynamicNode, SchemaNode, growing

_RATIOS: Final[Mapping[str, tuple[int, int]]] = {
    "1:1 (Square)": (1, 1),
    "2:3 (Portrait Photo)": (2, 3),
    "3:2 (Photo)": (3, 2),
    "3:4 (Portrait Standard)": (3, 4),
    "4:3 (Standard)": (4, 3),
    "9:16 (Portrait Widescreen)": (9, 16),
    "16:9 (Widescreen)": (16, 9),
    "21:9 (Ultrawide)": (21, 9),
}
_MEGAPIXEL: Final = 1024 * 1024
_COLOUR: Final = re.compile(r"#(?P<rgb>[0-9a-fA-F]{6})(?P<alpha>[0-9a-fA-F]{2})?")


class ComfyMathExpression(DynamicNode):
    """Evaluates an arithmetic expression."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_math"
    DISPLAY_NAME = "Math Expression"
    CATEGORY = "utils/math"
    REQUIRED = inputs(
        expression=("STRING", {"default": "a + b", "multiline": True}),
        values=growing(
            "value", ("FLOAT,INT,BOOLEAN",), names=list(string.ascii_lowercase), least=1
        ),
    )
    RETURN_TYPES = ("FLOAT", "INT", "BOOLEAN")
    RETURN_NAMES = ("FLOAT", "INT", "BOOL")

    def run(self, expression: str, values: Mapping[str, Any]) -> tuple[float, int, bool]:
        """The inputs go by their names and, as a list, by `values`. Raises BadExpression."""
        result = evaluate(expression, {**values, "values": list(values.values())})
        return float(result), int(result), bool(result)


class ComfyNumberConvert(SchemaNode):
    """Makes numbers of text and truth values."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_number_convert"
    DISPLAY_NAME = "Convert Number"
    CATEGORY = "utils"
    REQUIRED = inputs(value=("INT,FLOAT,STRING,BOOLEAN",))
    RETURN_TYPES = ("FLOAT", "INT")

    def run(self, value: str | float) -> tuple[float, int]:
        """The whole number is cut towards 0. Raises ValueError for what is no finite number."""
        number = _number(value) if isinstance(value, str) else value
        try:
            return float(number), int(number)
        except (OverflowError, ValueError):
            raise ValueError(f"{_shown(value)} is no finite number, or is too large") from None


def _shown(value: str | float) -> str:
    if isinstance(value, int):
        return f"a whole number of {value.bit_length()} bits"
    return repr(value[:100] if isinstance(value, str) else value)


def _number(text: str) -> float:
    try:
        return int(text.strip())
    except ValueError:
        pass
    try:
        return float(text.strip())
    except ValueError:
        raise ValueError(f"{text[:100]!r} is no number") from None


class SeedNode(SchemaNode):
    """A seed, to be used in several places."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_seed"
    DISPLAY_NAME = "Seed"
    CATEGORY = "utils"
    REQUIRED = inputs(
        seed=(
            "INT",
            {"default": 0, "min": 0, "max": 2**63 - 1, "control_after_generate": "fixed"},
        )
    )
    RETURN_TYPES = ("INT",)
    RETURN_NAMES = ("seed",)

    def run(self, seed: int) -> tuple[int]:
        """The number."""
        return (seed,)


class ResolutionSelector(SchemaNode):
    """Chooses a width and height by shape and number of pixels."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_resolution"
    DISPLAY_NAME = "Resolution Selector"
    CATEGORY = "utils"
    REQUIRED = inputs(
        aspect_ratio=(list(_RATIOS), {"default": "1:1 (Square)"}),
        megapixels=("FLOAT", {"default": 1.0, "min": 0.1, "max": 16.0, "step": 0.1}),
    )
    OPTIONAL = inputs(
        preview=("RESOLUTION_PREVIEW",),
        multiple=("INT", {"default": 8, "min": 8, "max": 128, "step": 4, "advanced": True}),
    )
    RETURN_TYPES = ("INT", "INT")
    RETURN_NAMES = ("width", "height")

    def run(
        self, aspect_ratio: str, megapixels: float, preview: Any = None, multiple: int = 8
    ) -> tuple[int, int]:
        """Sides are multiples of `multiple`; a megapixel has 1024 x 1024."""
        width, height = _RATIOS[aspect_ratio]
        side = math.sqrt(megapixels * _MEGAPIXEL / (width * height))
        return (
            round(width * side / multiple) * multiple,
            round(height * side / multiple) * multiple,
        )


class ColorToRGBInt(SchemaNode):
    """Makes a number of a colour."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_color"
    DISPLAY_NAME = "Color to RGB Int"
    CATEGORY = "utils"
    REQUIRED = inputs(color=("COLOR", {"default": "#ffffff", "socketless": True}))
    RETURN_TYPES = ("INT", "COLOR", "FLOAT")
    RETURN_NAMES = ("rgb_int", "hex", "alpha")

    def run(self, color: str) -> tuple[int, str, float]:
        """`#RRGGBB` or `#RRGGBBAA`; raises ValueError for other forms."""
        found = _COLOUR.fullmatch(color)
        if found is None:
            raise ValueError(f"{color[:100]!r} is no colour of the form #RRGGBB or #RRGGBBAA")
        alpha = int(found["alpha"] or "ff", 16) / 255
        return int(found["rgb"], 16), f"#{found['rgb']}", alpha
