"""The block formats of GGUF: Q4_0 to Q8_0, and the K-quants.

Decoding is that of diffusers, in float32: its results are those of the `gguf` package to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from models.stored.encoded import Encoded

# Values that are decoded at a time: steps in between fit the cache, and the memory of a device.
_PIECE = {"cpu": 1 << 18}
_LARGE_PIECE = 1 << 24


@dataclass(frozen=True)
class BlockFormat:
    """One of GGUF's formats: `length` values lie in `size` bytes."""

    name: str
    length: int
    size: int
    decode: Any  # (bytes [N, size], length, size, dtype) -> values [N, length]

    def bytes_of(self, values: int) -> int:
        """The bytes of so many values, which fill whole blocks."""
        return values // self.length * self.size


@dataclass(frozen=True, eq=False)
class Blocks(Encoded):
    """Values in blocks that follow each other in memory: `raw` is bytes [N]."""

    form: BlockFormat
    extent: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the values."""
        return self.extent

    def decode(self, dtype: torch.dtype) -> Tensor:
        """Block by block."""
        form = self.form
        blocks = self.raw.view(-1, form.size)
        values = torch.empty(blocks.shape[0], form.length, dtype=dtype, device=self.raw.device)
        piece = _PIECE.get(self.raw.device.type, _LARGE_PIECE) // form.length
        for start in range(0, blocks.shape[0], piece):
            part = blocks[start : start + piece]
            decoded = form.decode(part, form.length, form.size, dtype=torch.float32)
            values[start : start + piece] = decoded.reshape(-1, form.length)
        return values.view(self.extent)

    def rows(self, start: int, stop: int) -> Self | None:
        """The bytes of these rows, if rows are whole blocks."""
        each = self._row_bytes()
        if each is None:
            return None
        raw = self.raw[start * each : stop * each]
        return replace(self, raw=raw, extent=(stop - start, *self.extent[1:]))

    def picked(self, indices: Tensor) -> Self | None:
        """The bytes of some rows."""
        each = self._row_bytes()
        if each is None:
            return None
        raw = self.raw.view(-1, each)[indices].view(-1)
        return replace(self, raw=raw, extent=(len(indices), *self.extent[1:]))

    def joined(self, others: Sequence[Encoded]) -> Self | None:
        """The bytes of all, if the format is the same."""
        parts = [part for part in (self, *others) if isinstance(part, Blocks)]
        if len(parts) != 1 + len(others) or any(part.form != self.form for part in parts):
            return None
        rows = sum(part.extent[0] for part in parts)
        raw = torch.cat([part.raw for part in parts])
        return replace(self, raw=raw, extent=(rows, *self.extent[1:]))

    def _row_bytes(self) -> int | None:
        each = math.prod(self.extent[1:])
        return None if each % self.form.length else self.form.bytes_of(each)
