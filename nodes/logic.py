"""Nodes that choose, compare truth values, and take lists apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from nodes.base import inputs
from nodes.schema import DynamicNode, SchemaNode, growing

_MODULE: Final = "comfy_extras.nodes_logic"
_TOOLKIT: Final = "comfy_extras.nodes_toolkit"
_VALUES: Final = growing("value", ("*",), names="value", least=1, most=100)
_EITHER: Final = (
    "COMFY_MATCHTYPE_V3",
    {"lazy": True, "template": {"template_id": "switch", "allowed_types": "*"}},
)


class ComfySwitchNode(SchemaNode):
    """Passes on one of two values; what the other needs does not run."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    DISPLAY_NAME = "Switch"
    CATEGORY = "logic"
    EXPERIMENTAL = True
    REQUIRED = inputs(switch=("BOOLEAN",))
    OPTIONAL = inputs(on_false=_EITHER, on_true=_EITHER)
    RETURN_TYPES = ("COMFY_MATCHTYPE_V3",)
    RETURN_NAMES = ("output",)
    MATCHED_OUTPUTS = ("switch",)

    def check_lazy_status(self, switch: bool, **sides: Any) -> list[str]:
        """The side that is asked for, if it is there."""
        side = "on_true" if switch else "on_false"
        return [side] if side in sides else []

    def run(self, switch: bool, on_false: Any = None, on_true: Any = None) -> tuple[Any]:
        """`on_true` if the switch is on; None for a side that is not there."""
        return (on_true if switch else on_false,)


class CustomCombo(SchemaNode):
    """One of the choices that the user wrote down: the front end knows them, we do not."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    DISPLAY_NAME = "Custom Combo"
    CATEGORY = "utils"
    EXPERIMENTAL = True
    ACCEPT_ALL_INPUTS: ClassVar[bool] = True  # those of the front end's own
    REQUIRED = inputs(choice=([],))
    RETURN_TYPES = ("STRING", "INT")
    RETURN_NAMES = ("STRING", "INDEX")

    @classmethod
    def VALIDATE_INPUTS(cls, choice: Any) -> bool:
        """Any choice will do."""
        return True

    def run(self, choice: str, index: int = 0, **_: Any) -> tuple[str, int]:
        """The choice, and which of them it is."""
        return choice, index


def _is_true(value: Any) -> bool:
    """As Python sees it; pictures and the like, which have no truth, are true: they are there."""
    try:
        return bool(value)
    except (RuntimeError, TypeError, ValueError):
        return True


class _TruthNode(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    CATEGORY = "logic"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("BOOLEAN",)


class ComfyNotNode(_TruthNode):
    """Turns true into false."""

    DISPLAY_NAME = "Not"
    REQUIRED = inputs(value=("*",))

    def run(self, value: Any) -> tuple[bool]:
        """By the truth that Python sees in a value."""
        return (not _is_true(value),)


class ComfyAndNode(_TruthNode, DynamicNode):
    """Whether all values are true."""

    DISPLAY_NAME = "And"
    REQUIRED = inputs(values=_VALUES)

    def run(self, values: Mapping[str, Any]) -> tuple[bool]:
        """By the truth that Python sees in a value."""
        return (all(_is_true(value) for value in values.values()),)


class ComfyOrNode(_TruthNode, DynamicNode):
    """Whether any value is true."""

    DISPLAY_NAME = "Or"
    REQUIRED = inputs(values=_VALUES)

    def run(self, values: Mapping[str, Any]) -> tuple[bool]:
        """By the truth that Python sees in a value."""
        return (any(_is_true(value) for value in values.values()),)


class ComfyPassOrNoneNode(_TruthNode):
    """Passes on a value or another in its place, and says whether there was neither."""

    DISPLAY_NAME = "Pass or None"
    OPTIONAL = inputs(anything=("*",), default=("*",))
    RETURN_TYPES = ("*", "BOOLEAN")
    RETURN_NAMES = ("value", "is_none")

    def run(self, anything: Any = None, default: Any = None) -> tuple[Any, bool]:
        """The first value that is there."""
        value = default if anything is None else anything
        return value, value is None


class CreateList(DynamicNode):
    """Joins lists."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _TOOLKIT
    DISPLAY_NAME = "Create List"
    CATEGORY = "logic"
    REQUIRED = inputs(inputs=growing("input", ("*",), names="input", least=1, most=10))
    RETURN_TYPES = ("*",)
    RETURN_NAMES = ("list",)
    INPUT_IS_LIST: ClassVar[bool] = True
    OUTPUT_IS_LIST = (True,)

    def run(self, inputs: Mapping[str, list[Any]]) -> tuple[list[Any]]:
        """The values of all inputs in order."""
        return ([value for values in inputs.values() for value in values],)


class GetItemFromList(SchemaNode):
    """Takes one value out of a list."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _TOOLKIT
    DISPLAY_NAME = "Get Item from List"
    CATEGORY = "logic"
    REQUIRED = inputs(list=("*",), index=("INT", {"default": 0}))
    RETURN_TYPES = ("*",)
    INPUT_IS_LIST: ClassVar[bool] = True

    def run(self, list: list[Any], index: list[int]) -> tuple[Any]:
        """Negative numbers count from the end. Raises IndexError."""
        if not -len(list) <= index[0] < len(list):
            raise IndexError(f"there is no item {index[0]} in a list of {len(list)}")
        return (list[index[0]],)
