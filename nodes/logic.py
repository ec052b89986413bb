"""Nodes that choose."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from nodes.base import inputs
from nodes.schema import SchemaNode

_MODULE: Final = "comfy_extras.nodes_logic"
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
    REQUIRED = inputs(switch=("BOOLEAN",), on_false=_EITHER, on_true=_EITHER)
    RETURN_TYPES = ("COMFY_MATCHTYPE_V3",)
    RETURN_NAMES = ("output",)
    MATCHED_OUTPUTS = ("switch",)

    def check_lazy_status(
        self, switch: bool, on_false: Any = None, on_true: Any = None
    ) -> list[str]:
        """The side that is asked for."""
        return ["on_true" if switch else "on_false"]

    def run(self, switch: bool, on_false: Any = None, on_true: Any = None) -> tuple[Any]:
        """`on_true` if the switch is on."""
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
