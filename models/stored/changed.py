"""Values with changes that are made whenever they are read, such as those of a LoRA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from models.stored.encoded import Encoded


class WeightPatch(Protocol):
    """A change of one weight, such as a LoRA's."""

    def apply(self, weight: Tensor) -> Tensor:
        """The changed weight; `weight` is float32 and not to be written to."""


@runtime_checkable
class _Movable(Protocol):
    def to(self, device: torch.device) -> WeightPatch: ...


def on_device(change: WeightPatch, device: torch.device) -> WeightPatch:
    """The change with its tensors on a device, if it is of a kind that can be moved."""
    return change.to(device) if isinstance(change, _Movable) else change


@runtime_checkable
class _OfRows(Protocol):
    def of_rows(self, start: int, stop: int) -> Sequence[WeightPatch] | None:
        """The changes of some rows alone; None where they cannot be had so."""


@dataclass(frozen=True, eq=False)
class Changed(Encoded):
    """`whole` values after changes, made in float32; of these the rows in `window`."""

    whole: Encoded
    changes: tuple[WeightPatch, ...]
    window: tuple[int, int]

    @classmethod
    def of(cls, whole: Encoded, changes: Sequence[WeightPatch]) -> Encoded:
        """The changed values."""
        if not changes:
            return whole
        return cls(whole.raw, whole, tuple(changes), (0, whole.shape[0]))

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the rows."""
        start, stop = self.window
        return (stop - start, *self.whole.shape[1:])

    def decode(self, dtype: torch.dtype) -> Tensor:
        """The changed values."""
        values = self.whole.decode(torch.float32)
        for change in self.changes:
            values = change.apply(values)
        start, stop = self.window
        return values[start:stop].to(dtype)

    def rows(self, start: int, stop: int) -> Encoded:
        """Changes of these rows only where they can be had, else all of them, and then the rows."""
        start, stop = start + self.window[0], stop + self.window[0]
        whole = self.whole.rows(start, stop)
        alone: list[WeightPatch] = []
        for change in self.changes:
            found = change.of_rows(start, stop) if isinstance(change, _OfRows) else None
            if found is None or whole is None:
                return replace(self, window=(start, stop))
            alone += found
        assert whole is not None
        return Changed.of(whole, alone)

    def picked(self, indices: Tensor) -> None:
        """Changes are made to whole weights."""

    def joined(self, others: Sequence[Encoded]) -> None:
        """Neither can these."""

    def moved(self, move: Callable[[Tensor], Tensor]) -> Self:
        """The changes go along, if they can."""
        whole = self.whole.moved(move)
        device = whole.raw.device
        changes = tuple(on_device(change, device) for change in self.changes)
        return replace(self, raw=whole.raw, whole=whole, changes=changes)

    @property
    def nbytes(self) -> int:
        """That of the values."""
        return self.whole.nbytes
