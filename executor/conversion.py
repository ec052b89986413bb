"""Literals of a submitted graph: how they are written, and what their types make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

LITERAL_KEY: Final = "__value__"

CONVERSIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "INT": int,
    "FLOAT": float,
    "STRING": str,
    "BOOLEAN": bool,
}


class NotConvertible(Exception):
    """A literal cannot be read as its declared type; the text is the reason."""


def is_wrapped(value: object) -> bool:
    """Whether this is `{"__value__": X}`, the way to write the literal X."""
    return isinstance(value, dict) and len(value) == 1 and LITERAL_KEY in value


def unwrap(value: Any) -> Any:
    """The literal that a graph value stands for."""
    return value[LITERAL_KEY] if is_wrapped(value) else value


def wrap(literal: Any) -> Any:
    """The graph value for a literal: wrapped where it would be taken for a link or a wrapper.

    Workers undo this; until then a list literal cannot be confused with a link.
    """
    if isinstance(literal, list) or is_wrapped(literal):
        return {LITERAL_KEY: literal}
    return literal


def convert(literal: Any, declared: object) -> Any:
    """What a node of that declared input type gets; raises NotConvertible."""
    conversion = CONVERSIONS.get(declared) if isinstance(declared, str) else None
    if conversion is None:
        return literal
    try:
        return conversion(literal)
    except (ValueError, TypeError, OverflowError) as error:
        raise NotConvertible(str(error)) from error
