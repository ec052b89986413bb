"""What a safetensors file tells of itself: its metadata, and the cover images in it. No torch.

Blocking: call in a thread. Whether a file is fit to be loaded is not asked here.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

EXTENSIONS: Final = frozenset({".safetensors", ".sft"})
SHOWN_HEADER: Final = 1024 * 1024  # a longer header is not read for its metadata
LONGEST_HEADER: Final = 16 * 1024 * 1024  # cover images make headers long

_LENGTH_BYTES: Final = 8


class _Header(msgspec.Struct):
    """The part of a header that is no tensor."""

    metadata: dict[str, Any] | None = msgspec.field(name="__metadata__", default=None)


_HEADERS: Final = msgspec.json.Decoder(_Header)


def read_metadata(file: Path, longest: int = SHOWN_HEADER) -> dict[str, Any] | None:
    """The `__metadata__` object; None if there is none, or no header of at most that length."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
            text = stream.read(length) if length <= longest else b""
    except OSError:
        return None
    if len(text) < length:
        return None
    try:
        return _HEADERS.decode(text).metadata
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def cover_images(metadata: Mapping[str, Any]) -> Iterator[bytes]:
    """The encoded pictures in a file's metadata, best first; anything may be in them."""
    thumbnail = metadata.get("modelspec.thumbnail")  # a data URL
    texts = [thumbnail, *_list_of_covers(metadata.get("ssmd_cover_images"))]
    for text in texts:
        if isinstance(text, str) and (picture := _decode(text)):
            yield picture


def _list_of_covers(value: object) -> list[Any]:
    """A JSON list of base64 texts, as text."""
    if not isinstance(value, str):
        return []
    try:
        covers = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return []
    return covers if isinstance(covers, list) else []


def _decode(text: str) -> bytes | None:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return None
