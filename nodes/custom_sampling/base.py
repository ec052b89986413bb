"""What the custom sampling nodes share."""

from __future__ import annotations

from typing import Any, ClassVar

from nodes.base import Declared
from nodes.schema import SchemaNode


class CustomSamplingNode(SchemaNode):
    """A class of ComfyUI's module of custom sampling nodes."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_custom_sampler"


def number(
    default: float,
    low: float,
    high: float,
    step: float = 0.01,
    *,
    round: float | bool | None = None,
) -> Declared:
    """A FLOAT input; round=False keeps all digits that a client sends."""
    options: dict[str, Any] = {"default": default, "min": low, "max": high, "step": step}
    return "FLOAT", options if round is None else options | {"round": round}


def exact(default: float, low: float, high: float, step: float = 0.01) -> Declared:
    """A FLOAT input that is not rounded."""
    return number(default, low, high, step, round=False)


def steps(default: int = 20, low: int = 1, high: int = 10000) -> Declared:
    """A number of steps."""
    return "INT", {"default": default, "min": low, "max": high}
