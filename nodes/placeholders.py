"""Nodes that older workflows have, and that have nothing to do any more."""

from __future__ import annotations

from typing import Any, ClassVar

from nodes.base import inputs
from nodes.schema import SchemaNode


class WanBlockSwap(SchemaNode):
    """Passes a model on: how much of it is in GPU memory is decided elsewhere."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_nop"
    NODE_NAME = "wanBlockSwap"
    CATEGORY = ""
    DEPRECATED = True
    REQUIRED = inputs(model=("MODEL",))
    RETURN_TYPES = ("MODEL",)

    def run(self, model: Any) -> tuple[Any]:
        """The model."""
        return (model,)
