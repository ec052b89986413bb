"""Values in fewer bits than they are computed in: as they lie in a file, and how they are read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from models.mapping import release_pages


@dataclass(frozen=True, eq=False)
class Encoded(ABC):
    """A tensor of a smaller type. Immutable; parts of it share memory with the whole."""

    raw: Tensor

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of the values."""

    @abstractmethod
    def decode(self, dtype: torch.dtype) -> Tensor:
        """The values [shape], each rounded once to `dtype`; a tensor of their own."""

    @abstractmethod
    def rows(self, start: int, stop: int) -> Encoded | None:
        """The values [start:stop], or None where these cannot be told apart without decoding."""

    @abstractmethod
    def picked(self, indices: Tensor) -> Self | None:
        """The values [indices], for one dimension of indices, or None as above."""

    @abstractmethod
    def joined(self, others: Sequence[Encoded]) -> Encoded | None:
        """These values and others below them along the first dimension, or None as above."""

    def moved(self, move: Callable[[Tensor], Tensor]) -> Self:
        """The same on another device, by a function that moves a tensor."""
        return replace(self, raw=move(self.raw))

    @property
    def nbytes(self) -> int:
        """What it takes up."""
        return self.raw.nbytes

    def release(self) -> None:
        """Give the pages back that reading has brought into memory, if it is mapped from a file."""
        release_pages(self.raw)


@dataclass(frozen=True, eq=False)
class Plain(Encoded):
    """Floating point numbers of a smaller type."""

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the numbers."""
        return tuple(self.raw.shape)

    def decode(self, dtype: torch.dtype) -> Tensor:
        """The same numbers."""
        return self.raw.to(dtype, copy=True)

    def rows(self, start: int, stop: int) -> Self:
        """A slice."""
        return replace(self, raw=self.raw[start:stop])

    def picked(self, indices: Tensor) -> Self:
        """Some rows. float8 has no selection of its own: its bytes have."""
        raw = self.raw
        if raw.itemsize == 1:
            return replace(self, raw=raw.view(torch.uint8)[indices].view(raw.dtype))
        return replace(self, raw=raw[indices])

    def joined(self, others: Sequence[Encoded]) -> Self | None:
        """All rows, if the types are the same."""
        raws = [self.raw, *(other.raw for other in others)]
        if any(type(o) is not Plain for o in others) or len({raw.dtype for raw in raws}) != 1:
            return None
        return replace(self, raw=torch.cat(raws))


@dataclass(frozen=True, eq=False)
class Scaled(Encoded):
    """Small numbers that are to be multiplied by one number: ``W = s Q``."""

    scale: float

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the numbers."""
        return tuple(self.raw.shape)

    def decode(self, dtype: torch.dtype) -> Tensor:
        """The products; every type of computation holds the small numbers exactly."""
        return self.raw.to(dtype, copy=True).mul_(self.scale)

    def rows(self, start: int, stop: int) -> Self:
        """A slice with the same scale."""
        return replace(self, raw=self.raw[start:stop])

    def picked(self, indices: Tensor) -> Self:
        """Some rows with the same scale."""
        picked = Plain(self.raw).picked(indices)
        return replace(self, raw=picked.raw)

    def joined(self, others: Sequence[Encoded]) -> Encoded | None:
        """All rows; each has a scale of its own if the scales differ."""
        parts = [part for part in (self, *others) if isinstance(part, Scaled)]
        whole = Plain(self.raw).joined([Plain(part.raw) for part in parts[1:]])
        if whole is None or len(parts) != 1 + len(others):
            return None
        if all(part.scale == self.scale for part in parts):
            return replace(self, raw=whole.raw)
        columns = [self.raw.new_full((len(p.raw), 1), p.scale, dtype=torch.float32) for p in parts]
        return ScaledBlocks(whole.raw, torch.cat(columns), (1, self.raw[0].numel()))


@dataclass(frozen=True, eq=False)
class ScaledBlocks(Encoded):
    """Small numbers [R, C] in blocks, each with a scale of its own; scales [ceil(R/r), ceil(C/c)].

    A scale for each row is blocks of one row that are as wide as the matrix.
    """

    scales: Tensor  # float32
    block: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the numbers."""
        return tuple(self.raw.shape)

    def decode(self, dtype: torch.dtype) -> Tensor:
        """The products, made in float32."""
        height, width = self.block
        flat = self.raw.flatten(1)
        scales = self.scales
        if height > 1:
            scales = scales.repeat_interleave(height, 0)[: flat.shape[0]]
        if scales.shape[1] > 1:
            scales = scales.repeat_interleave(width, 1)[:, : flat.shape[1]]
        return flat.to(torch.float32).mul_(scales).reshape(self.shape).to(dtype)

    def rows(self, start: int, stop: int) -> Self | None:
        """Whole blocks."""
        height = self.block[0]
        if start % height or (stop % height and stop != self.raw.shape[0]):
            return None
        scales = self.scales[start // height : -(-stop // height)]
        return replace(self, raw=self.raw[start:stop], scales=scales)

    def picked(self, indices: Tensor) -> Self | None:
        """Some rows, where each has scales of its own."""
        if self.block[0] != 1:
            return None
        picked = Plain(self.raw).picked(indices)
        return replace(self, raw=picked.raw, scales=self.scales[indices])

    def joined(self, others: Sequence[Encoded]) -> Self | None:
        """All rows, if the blocks are the same and none is cut off."""
        parts = [self, *others]
        fitting = [p for p in parts if isinstance(p, ScaledBlocks) and p.block == self.block]
        if len(fitting) != len(parts) or any(p.shape[0] % self.block[0] for p in fitting):
            return None
        whole = Plain(self.raw).joined([Plain(part.raw) for part in fitting[1:]])
        if whole is None:
            return None
        return replace(self, raw=whole.raw, scales=torch.cat([part.scales for part in fitting]))

    def moved(self, move: Callable[[Tensor], Tensor]) -> Self:
        """The scales go along."""
        return replace(self, raw=move(self.raw), scales=move(self.scales))

    @property
    def nbytes(self) -> int:
        """With the scales."""
        return self.raw.nbytes + self.scales.nbytes
