"""The node that shows any value as text."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from nodes.base import Node, inputs


class PreviewAny(Node):
    """Shows a value."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_preview_any"
    DISPLAY_NAME = "Preview as Text"
    CATEGORY = "utils"
    REQUIRED = inputs(source=("*", {}))
    RETURN_TYPES = ("STRING",)
    OUTPUT_NODE = True

    def run(self, source: Any = None) -> dict[str, Any]:
        """Numbers and text as they are, other values as JSON where they have that form."""
        text = _as_text(source)
        return {"ui": {"text": (text,)}, "result": (text,)}


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, str | int | float):
        return str(value)
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return str(value)
