"""JSON texts as the store keeps them: msgspec's, with Python's own where numbers are odd."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

LARGE: Final = 256 * 1024  # bytes that take milliseconds to decode
_LEVELS: Final = 4  # so deep that the pieces of a prompt are nodes; each level reads all again


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


def decode_in_pieces(text: bytes) -> Any:
    """As msgspec does, for large texts and in a thread: others get their turn meanwhile.

    msgspec keeps the interpreter lock while it decodes; what lies in large objects and lists is
    decoded one by one. Raises DecodeError, UnicodeDecodeError, RecursionError.
    """
    return _decode_piece(text, _LEVELS)


def decode_large(text: bytes) -> Any:
    """As `decode`, for large texts and in a thread."""
    try:
        return decode_in_pieces(text)
    except ValueError:
        return json.loads(text)


def _decode_piece(text: bytes | msgspec.Raw, levels: int) -> Any:
    view = memoryview(text)
    if levels and len(view) >= LARGE:
        opening = bytes(view[:64]).lstrip()[:1]
        if opening == b"{":
            pieces = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
            return {key: _decode_piece(piece, levels - 1) for key, piece in pieces.items()}
        if opening == b"[":
            return [
                _decode_piece(piece, levels - 1)
                for piece in msgspec.json.decode(text, type=list[msgspec.Raw])
            ]
    return msgspec.json.decode(text)


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
