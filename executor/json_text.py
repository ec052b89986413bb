"""JSON texts as the store keeps them: msgspec's, with Python's own where numbers are odd."""

from __future__ import annotations

import json
from typing import Any

import msgspec


def encode(value: Any, *, has_odd_numbers: bool = False) -> bytes:
    """JSON text. With odd numbers (NaN, infinity) these are kept, as ComfyUI writes them."""
    if not has_odd_numbers:
        try:
            return msgspec.json.encode(value)
        except (OverflowError, ValueError):  # an integer of more than 64 bits, a lone surrogate
            pass
    return json.dumps(value, separators=(",", ":")).encode()


def decode(text: bytes) -> Any:
    """The value of a text made by `encode`."""
    try:
        return msgspec.json.decode(text)
    except ValueError:
        return json.loads(text)


def is_deeper(value: Any, limit: int) -> bool:
    """True if lists and objects are nested more than `limit` times."""
    level = [value]
    for _ in range(limit + 1):
        level = [item for item in level if isinstance(item, dict | list)]
        if not level:
            return False
        level = [
            child for item in level for child in (item.values() if isinstance(item, dict) else item)
        ]
    return True
