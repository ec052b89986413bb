"""Nodes that hold one value, to be used in several places."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from nodes.base import MAX_RESOLUTION, inputs
from nodes.schema import SchemaNode

_MOST: Final = 2**63 - 1


class _Primitive(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_primitive"
    CATEGORY = "utils/primitive"

    def run(self, value: Any) -> tuple[Any]:
        """The value."""
        return (value,)


class PrimitiveString(_Primitive):
    """A line of text."""

    DISPLAY_NAME = "String"
    REQUIRED = inputs(value=("STRING", {"multiline": False}))
    RETURN_TYPES = ("STRING",)


class PrimitiveStringMultiline(_Primitive):
    """A text."""

    DISPLAY_NAME = "String (Multiline)"
    REQUIRED = inputs(value=("STRING", {"multiline": True}))
    RETURN_TYPES = ("STRING",)


class PrimitiveInt(_Primitive):
    """A whole number."""

    DISPLAY_NAME = "Int"
    REQUIRED = inputs(value=("INT", {"min": -_MOST, "max": _MOST, "control_after_generate": True}))
    RETURN_TYPES = ("INT",)


class PrimitiveFloat(_Primitive):
    """A number."""

    DISPLAY_NAME = "Float"
    REQUIRED = inputs(value=("FLOAT", {"min": -_MOST, "max": _MOST, "step": 0.1}))
    RETURN_TYPES = ("FLOAT",)


class PrimitiveBoolean(_Primitive):
    """Yes or no."""

    DISPLAY_NAME = "Boolean"
    REQUIRED = inputs(value=("BOOLEAN",))
    RETURN_TYPES = ("BOOLEAN",)


class PrimitiveBoundingBox(SchemaNode):
    """A rectangle in a picture."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_primitive"
    DISPLAY_NAME = "Bounding Box"
    CATEGORY = "utils/primitive"
    REQUIRED = inputs(
        x=("INT", {"default": 0, "min": 0, "max": MAX_RESOLUTION}),
        y=("INT", {"default": 0, "min": 0, "max": MAX_RESOLUTION}),
        width=("INT", {"default": 512, "min": 1, "max": MAX_RESOLUTION}),
        height=("INT", {"default": 512, "min": 1, "max": MAX_RESOLUTION}),
    )
    RETURN_TYPES = ("BOUNDING_BOX",)

    def run(self, x: int, y: int, width: int, height: int) -> tuple[dict[str, int]]:
        """In pixels, from the top left."""
        return ({"x": x, "y": y, "width": width, "height": height},)
