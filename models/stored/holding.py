"""Which weights of a network stay in fewer bits than they are computed in, and which do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from models.stored.changed import Changed, WeightPatch
from models.stored.encoded import Plain
from models.stored.tensor import StoredTensor, release, values_of

# Smaller ones, and vectors such as biases and norms, are converted: they take up next to nothing.
SMALL: Final = 4096
_HALVES: Final = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How the weights of a network are kept.

    Weights of less than 16 bits stay as their file has them, and mapped from it. Patches of those
    are made whenever the weight is read, in float32, and rounded once to the type of computation:
    merged weights in 8 bits would lose them, and in 16 bits take up twice as much.
    """

    keep_halves: bool = False  # float16 and bfloat16 stay, too; patches are merged into these
    narrow_to: torch.dtype | None = None  # a type of 8 bits that wider weights are brought to

    def held(
        self, stored: Tensor, dtype: torch.dtype, changes: Sequence[WeightPatch] = ()
    ) -> Tensor:
        """What a network has of a weight of its file, for computation in `dtype`, and patched.

        What comes back as an ordinary tensor may still be of another type than `dtype`.
        """
        kind = self._kind(stored)
        if kind != stored.dtype:  # small ones go through that type, too
            narrow = stored.to(kind)
            release(stored)
            stored = narrow
        if not self._is_kept(stored, dtype):
            is_ordinary = not changes and not isinstance(stored, StoredTensor)
            return stored if is_ordinary else merged(stored, changes)
        if isinstance(stored, StoredTensor):
            return stored.computed_in(dtype, changes)
        if stored.itemsize == 1:
            return StoredTensor(Changed.of(Plain(stored), changes), dtype)
        # Rounded to the type it is kept in, as the reference has it.
        value = merged(stored, changes).to(stored.dtype) if changes else stored
        return StoredTensor(Plain(value), dtype)

    def held_bytes(self, stored: Tensor, dtype: torch.dtype) -> int:
        """What a weight takes up as it is held."""
        if not stored.is_floating_point():
            return stored.nbytes
        if not self._is_kept(stored, dtype):
            return stored.numel() * dtype.itemsize
        kind = self._kind(stored)
        return stored.nbytes if kind == stored.dtype else stored.numel() * kind.itemsize

    def _kind(self, stored: Tensor) -> torch.dtype:
        """The type that an ordinary weight is brought to."""
        is_wide = stored.is_floating_point() and stored.itemsize > 1
        if self.narrow_to is None or isinstance(stored, StoredTensor) or not is_wide:
            return stored.dtype
        return self.narrow_to

    def _is_kept(self, stored: Tensor, dtype: torch.dtype) -> bool:
        if stored.ndim < 2 or stored.numel() < SMALL or not stored.is_floating_point():
            return False
        if isinstance(stored, StoredTensor) or self._kind(stored).itemsize == 1:
            return True
        return self.keep_halves and stored.dtype in _HALVES and stored.dtype != dtype


AS_COMPUTED: Final = Storage()


def merged(stored: Tensor, changes: Sequence[WeightPatch]) -> Tensor:
    """A weight with changes, in float32; rounding is up to the caller."""
    value = values_of(stored, torch.float32)
    if value is not stored:
        release(stored)
    for change in changes:
        value = change.apply(value)
    return value


def with_changes(stored: Tensor, changes: Sequence[WeightPatch], dtype: torch.dtype) -> Tensor:
    """A weight with changes, made in float32 and rounded once when it is read."""
    if isinstance(stored, StoredTensor):
        return stored.computed_in(dtype, changes)
    if stored.ndim == 0:
        return merged(stored, changes).to(dtype)
    return StoredTensor(Changed.of(Plain(stored), changes), dtype)
