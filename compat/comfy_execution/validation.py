"""Whether a link fits, as packs ask it."""

from __future__ import annotations

from typing import Any

from executor.type_match import types_match


def validate_node_input(received_type: Any, input_type: Any, strict: bool = False) -> bool:
    """Whether an output type may be linked to an input type.

    Types with a comparison of their own decide themselves. `strict`: all that the output may be
    must be accepted; else one type in common is enough.
    """
    if not received_type != input_type:  # noqa: SIM202  (types may define only this one)
        return True
    if not strict or not (isinstance(received_type, str) and isinstance(input_type, str)):
        return types_match(_listed(received_type), _listed(input_type))
    received = {name.strip() for name in received_type.split(",")}
    wanted = {name.strip() for name in input_type.split(",")}
    return "*" in received or "*" in wanted or received <= wanted


def _listed(declared: Any) -> Any:
    return list(declared) if isinstance(declared, tuple) else declared
