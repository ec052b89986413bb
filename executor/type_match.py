"""Whether a node's output may be linked to another node's input."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

_ANY: Final = frozenset({"*", "COMFY_MATCHTYPE_V3"})


def types_match(received: object, wanted: object) -> bool:
    """Whether a producer's declared output type fits a declared input type.

    Types are strings (`"A,B"` is a union, `"*"` matches all) or lists of options.
    """
    if isinstance(received, str) and isinstance(wanted, str):
        return _names_match(received, wanted)
    if received == wanted or _is_any(received) or _is_any(wanted):
        return True
    return isinstance(received, list) and wanted == "COMBO"


def equals(equal_types: Mapping[str, list[str]], kind: object, other: object) -> bool:
    """Whether a type claims to equal another one: see `NodeDefinition.equal_types`."""
    if not equal_types or not isinstance(kind, str):
        return False
    names = equal_types.get(kind, ())
    return "*" in names or other in names


def _is_any(declared: object) -> bool:
    return isinstance(declared, str) and declared in _ANY


@functools.lru_cache(maxsize=4096)
def _names_match(received: str, wanted: str) -> bool:
    if received == wanted or received in _ANY or wanted in _ANY:
        return True
    offered, accepted = _members(received), _members(wanted)
    return "*" in offered or "*" in accepted or not offered.isdisjoint(accepted)


def _members(union: str) -> frozenset[str]:
    return frozenset(name.strip() for name in union.split(","))
