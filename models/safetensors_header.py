"""Checks the header of a safetensors file before any of its tensors is mapped."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from models.errors import CheckpointUnreadable

MAX_HEADER_BYTES: Final = 100_000_000  # the limit of the format

# Bits per element of each type of the format.
DTYPE_BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a safetensors file says about itself."""

    shapes: dict[str, tuple[int, ...]]  # tensor name -> shape
    types: dict[str, str]  # tensor name -> number type, in the format's words
    spans: dict[str, tuple[int, int]]  # tensor name -> where it begins and ends in the file
    metadata: dict[str, str]  # the `__metadata__` object, empty if there is none


def read_header(path: Path) -> Header:
    """The checked header; raises CheckpointUnreadable for anything that is not as it should be."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = _header_length(path, size, file.read(8))
            text = file.read(length)
    except OSError as error:
        raise CheckpointUnreadable(path, error.strerror or str(error)) from error
    document = _parse(path, text)
    metadata = document.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointUnreadable(path, "its metadata is not a table of texts")
    spans = sorted(_span(path, name, entry) for name, entry in document.items())
    start = 8 + length
    _check_spans(path, spans, size - start)
    return Header(
        shapes={name: tuple(entry["shape"]) for name, entry in document.items()},
        types={name: entry["dtype"] for name, entry in document.items()},
        spans={name: (start + begin, start + end) for begin, end, name in spans},
        metadata=metadata,
    )


def _header_length(path: Path, size: int, start: bytes) -> int:
    if size == 0:
        raise CheckpointUnreadable(path, "the file is empty")
    if len(start) < 8:
        raise CheckpointUnreadable(path, f"the file has only {size} bytes")
    length = int.from_bytes(start, "little")
    if length > MAX_HEADER_BYTES:
        raise CheckpointUnreadable(path, "it is not a safetensors file")
    if 8 + length > size:
        raise CheckpointUnreadable(path, f"it ends within its header, after {size} bytes")
    return length


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointUnreadable(path, f"its header cannot be read ({error})") from error
    if not isinstance(document, dict):
        raise CheckpointUnreadable(path, "its header is not a table of tensors")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name occurs twice")
    return table


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _span(path: Path, name: str, entry: Any) -> tuple[int, int, str]:
    """(begin, end, name) of a tensor within the data, which agrees with its type and shape."""
    try:
        bits, shape, (begin, end) = (
            DTYPE_BITS[entry["dtype"]],
            entry["shape"],
            entry["data_offsets"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointUnreadable(path, f"its entry for '{name}' is malformed") from error
    if not isinstance(shape, list) or not all(map(_is_size, (*shape, begin, end))):
        raise CheckpointUnreadable(path, f"its entry for '{name}' is malformed")
    if math.prod(shape) * bits != (end - begin) * 8:
        raise CheckpointUnreadable(path, f"the size of '{name}' does not fit its shape")
    return begin, end, name


def _check_spans(path: Path, spans: list[tuple[int, int, str]], data_bytes: int) -> None:
    """Tensors must follow each other without a gap or an overlap, and fill the file."""
    position = 0
    for begin, end, name in spans:
        if begin != position:
            raise CheckpointUnreadable(path, f"'{name}' overlaps another tensor or leaves a gap")
        position = end
    if position > data_bytes:
        missing = position - data_bytes
        raise CheckpointUnreadable(path, f"it is truncated: {missing} bytes are missing at the end")
    if position < data_bytes:
        raise CheckpointUnreadable(path, f"{data_bytes - position} bytes follow its last tensor")
