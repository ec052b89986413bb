"""Checks the header of a GGUF file before any of its tensors is mapped.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The reader of the `gguf`
package trusts the lengths that a file states, and would follow a false one for hours.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from models.errors import CheckpointUnreadable

MAX_HEADER_BYTES: Final = 100_000_000
MAX_DIMENSIONS: Final = 4  # the limit of the format
_VERSIONS: Final = (2, 3)

# Numbers of the format's types of values -> struct's.
_NUMBERS: Final = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING: Final = 8
_ARRAY: Final = 9

# (number of a tensor's type) -> its name, values in a block, bytes of a block; None: unknown.
Layouts = Callable[[int], tuple[str, int, int] | None]


@dataclass(frozen=True, kw_only=True)
class GgufTensor:
    """What the header says of a tensor."""

    kind: str  # F16, Q4_K, ...
    shape: tuple[int, ...]  # in the order of torch
    span: tuple[int, int]  # where it begins and ends in the file


@dataclass(frozen=True, kw_only=True)
class GgufHeader:
    """What a GGUF file says about itself."""

    fields: dict[str, Any]  # texts, numbers, and lists of these
    tensors: dict[str, GgufTensor]


class _Cursor:
    """Reads what the header is made of, one after another, and never beyond its end."""

    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self.path, self._content = path, content
        self._end = min(len(content), MAX_HEADER_BYTES)
        self.position = 0

    def magic(self) -> bytes:
        """The first four bytes."""
        self.position = min(4, self._end)
        return self._content[:4]

    def number(self, code: str) -> Any:
        return self.numbers(code, 1)[0]

    def numbers(self, code: str, count: int) -> tuple[Any, ...]:
        size = struct.calcsize(f"<{code}")
        return struct.unpack(f"<{count}{code}", self._take(count * size))

    def text(self) -> str:
        try:
            return self._take(self.number("Q")).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.malformed("a text is no UTF-8") from error

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind])
        if kind != _ARRAY:
            raise self.malformed(f"a value has the type {kind}")
        inner, count = self.number("I"), self.number("Q")
        if inner in _NUMBERS:
            return list(self.numbers(_NUMBERS[inner], count))
        if inner != _STRING:
            raise self.malformed(f"a list has values of the type {inner}")
        self._check(8 * count)  # each has at least a length
        return [self.text() for _ in range(count)]

    def _take(self, count: int) -> bytes:
        self._check(count)
        start, self.position = self.position, self.position + count
        return self._content[start : self.position]

    def _check(self, count: int) -> None:
        if self.position + count <= self._end:
            return
        size = len(self._content)
        if size > self._end:
            raise self.malformed(f"it is longer than {MAX_HEADER_BYTES:,} bytes")
        raise CheckpointUnreadable(self.path, f"it ends within its header, after {size} bytes")

    def malformed(self, what: str) -> CheckpointUnreadable:
        return CheckpointUnreadable(self.path, f"its header cannot be read: {what}")


def read_gguf_header(path: Path, layouts: Layouts) -> GgufHeader:
    """The checked header; raises CheckpointUnreadable for anything that is not as it should be."""
    try:
        if path.stat().st_size == 0:
            raise CheckpointUnreadable(path, "the file is empty")
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return _read(_Cursor(path, content), layouts, len(content))
    except OSError as error:
        raise CheckpointUnreadable(path, error.strerror or str(error)) from error


def _read(cursor: _Cursor, layouts: Layouts, size: int) -> GgufHeader:
    path = cursor.path
    if cursor.magic() != b"GGUF":
        raise CheckpointUnreadable(path, "it is not a GGUF file")
    version = cursor.number("I")
    if version not in _VERSIONS:
        known = " and ".join(map(str, _VERSIONS))
        raise CheckpointUnreadable(
            path, f"it is of version {version} of GGUF; {known} are read", "Use a newer file."
        )
    tensor_count, field_count = cursor.numbers("Q", 2)
    fields = _fields(cursor, field_count)
    alignment = fields.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment % 8:
        raise cursor.malformed(f"tensors are aligned to {alignment!r}")
    infos = [_info(cursor) for _ in range(tensor_count)]
    start = -(-cursor.position // alignment) * alignment
    tensors: dict[str, GgufTensor] = {}
    for name, shape, number, offset in infos:
        if name in tensors:
            raise cursor.malformed(f"'{name}' occurs twice")
        tensors[name] = _tensor(cursor, name, shape, layouts(number), number, start + offset)
    _check_spans(path, tensors, size)
    return GgufHeader(fields=fields, tensors=tensors)


def _fields(cursor: _Cursor, count: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for _ in range(count):
        name = cursor.text()
        if name in fields:
            raise cursor.malformed(f"'{name}' occurs twice")
        fields[name] = cursor.value(cursor.number("I"))
    return fields


def _info(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    """Name, shape, number of the type, offset."""
    name, dimensions = cursor.text(), cursor.number("I")
    if dimensions > MAX_DIMENSIONS:
        raise cursor.malformed(f"'{name}' has {dimensions} dimensions")
    shape = cursor.numbers("Q", dimensions)
    return name, tuple(reversed(shape)), cursor.number("I"), cursor.number("Q")


def _tensor(
    cursor: _Cursor,
    name: str,
    shape: tuple[int, ...],
    layout: tuple[str, int, int] | None,
    number: int,
    begin: int,
) -> GgufTensor:
    if layout is None:
        raise CheckpointUnreadable(
            cursor.path, f"'{name}' has the number type {number}, which is not known"
        )
    kind, length, size = layout
    values = math.prod(shape)
    if (shape[-1] if shape else 1) % length:
        raise cursor.malformed(f"rows of '{name}' are no whole blocks of {kind}")
    return GgufTensor(kind=kind, shape=shape, span=(begin, begin + values // length * size))


def _check_spans(path: Path, tensors: dict[str, GgufTensor], size: int) -> None:
    """Tensors must not overlap, and lie in the file."""
    position = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].span):
        begin, end = tensor.span
        if begin < position or begin % 8:
            raise CheckpointUnreadable(path, f"'{name}' overlaps another tensor or is misplaced")
        if end > size:
            raise CheckpointUnreadable(
                path, f"it is truncated: {end - size} bytes are missing at the end of '{name}'"
            )
        position = end
