"""Inputs of a denoiser, as CONDITIONING entries carry them: how they grow to a batch and join."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from models.sampling.conditioning import repeat_to_batch
from models.sampling.guidance import LONGEST_REPEAT


class CONDRegular:
    """A tensor with one row for each item."""

    def __init__(self, cond: Any) -> None:
        self.cond = cond

    def _copy_with(self, cond: Any) -> Any:
        return type(self)(cond)

    def process_cond(self, batch_size: int, **kwargs: Any) -> Any:
        """For a batch; `area` says which part of the latent it will be used with."""
        return self._copy_with(repeat_to_batch(self.cond, batch_size))

    def can_concat(self, other: Any) -> bool:
        """Whether both may go through the model in one batch."""
        return bool(self.cond.shape == other.cond.shape)

    def concat(self, others: Sequence[Any]) -> Any:
        """The batch of this and others."""
        return torch.cat([self.cond, *(other.cond for other in others)])

    def size(self) -> list[int]:
        """The shape, for estimates of memory."""
        return list(self.cond.size())


class CONDNoiseShape(CONDRegular):
    """A tensor of the latent's shape, cut to the area that is sampled."""

    def process_cond(self, batch_size: int, area: Sequence[int] | None = None, **_: Any) -> Any:
        """Cut and repeated."""
        data: Tensor = self.cond
        if area is not None:
            sides = len(area) // 2
            for axis, (size, at) in enumerate(zip(area[:sides], area[sides:], strict=True)):
                data = data.narrow(axis + 2, at, size)
        return self._copy_with(repeat_to_batch(data, batch_size))


class CONDCrossAttn(CONDRegular):
    """A context [B, T, D]; contexts of different lengths join by being repeated."""

    def can_concat(self, other: Any) -> bool:
        """If repeating does not make them much longer."""
        mine, others = self.cond.shape, other.cond.shape
        if mine == others:
            return True
        if mine[0] != others[0] or mine[2] != others[2]:
            return False
        return bool(math.lcm(mine[1], others[1]) <= LONGEST_REPEAT * min(mine[1], others[1]))

    def concat(self, others: Sequence[Any]) -> Any:
        """All at the length that each divides."""
        contexts = [self.cond, *(other.cond for other in others)]
        length = math.lcm(*(context.shape[1] for context in contexts))
        return torch.cat([c.repeat(1, length // c.shape[1], 1) for c in contexts])


class CONDConstant(CONDRegular):
    """A value that is no tensor; only equal ones join."""

    def process_cond(self, batch_size: int, **kwargs: Any) -> Any:
        """The value itself."""
        return self._copy_with(self.cond)

    def can_concat(self, other: Any) -> bool:
        """If both are the same value."""
        return bool(self.cond == other.cond)

    def concat(self, others: Sequence[Any]) -> Any:
        """The value itself."""
        return self.cond

    def size(self) -> list[int]:
        """One element."""
        return [1]


class CONDList(CONDRegular):
    """A list of tensors, joined one by one."""

    def process_cond(self, batch_size: int, **kwargs: Any) -> Any:
        """Each repeated."""
        return self._copy_with([repeat_to_batch(tensor, batch_size) for tensor in self.cond])

    def can_concat(self, other: Any) -> bool:
        """If all shapes agree."""
        return [t.shape for t in self.cond] == [t.shape for t in other.cond]

    def concat(self, others: Sequence[Any]) -> Any:
        """A list of batches."""
        return [
            torch.cat([tensor, *(other.cond[index] for other in others)])
            for index, tensor in enumerate(self.cond)
        ]

    def size(self) -> list[int]:
        """Elements of all of them."""
        return [1, sum(int(tensor.numel()) for tensor in self.cond)]
