"""What a node class says of itself as plain data.

Packs write types of their own into it: texts that equal every text, sets, numbers of numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_LEAST_INTEGER = -(2**63)
_MOST_INTEGER = 2**64 - 1  # that crosses to the server as an integer


def plain(value: Any) -> Any:
    """The value in types that JSON has; raises TypeError for what it has no form for."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        # Not `str(value)`, which a subclass may define; a lone surrogate is no text to be sent.
        return str.__str__(value).encode(errors="replace").decode()
    if isinstance(value, int):
        number = int(value)
        return number if _LEAST_INTEGER <= number <= _MOST_INTEGER else float(number)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return plain(value.item())
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | type):
        return [plain(item) for item in value]
    raise TypeError(f"{value!r} in its description is not JSON")


def _key(key: Any) -> str:
    text = plain(key)
    return text if isinstance(text, str) else str(text)
