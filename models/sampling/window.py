"""Rectangles of a latent: where a conditioning acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import InvalidInput

FEATHER = 8  # the most rows over which an inner edge fades


@dataclass(frozen=True)
class Window:
    """A box in the last dimensions of a latent [B, C, ...], in latent pixels."""

    sizes: tuple[int, ...]
    offsets: tuple[int, ...]

    @classmethod
    def parse(cls, area: Sequence[float | str], space: Sequence[int]) -> Window | None:
        """From a CONDITIONING `area`: sizes then offsets, or "percentage" and fractions.

        space is the latent's size without batch and channels; the box is cut to it. None if
        nothing is left. Raises InvalidInput for a box with more dimensions than the latent.
        """
        dims = len(area[1:] if area[0] == "percentage" else area) // 2
        if dims > len(space):
            raise InvalidInput(
                f"an area of {dims} dimensions limits a conditioning, and the latent has "
                f"{len(space)}: areas of films are for models of films"
            )
        if area[0] == "percentage":
            fractions = [float(value) for value in area[1:]]
            sides = list(space[-dims:])
            numbers = [round(f * side) for f, side in zip(fractions, sides * 2, strict=True)]
            sizes = [max(1, size) for size in numbers[:dims]]
        else:
            numbers = [int(value) for value in area]
            sizes = numbers[:dims]
        offsets = numbers[dims:]
        return cls(tuple(sizes), tuple(offsets)).cut(space)

    def cut(self, space: Sequence[int]) -> Window | None:
        """The part inside the latent; None if there is none."""
        sides = space[-len(self.sizes) :]
        sizes = tuple(
            min(size, side - offset)
            for size, offset, side in zip(self.sizes, self.offsets, sides, strict=True)
        )
        return Window(sizes, self.offsets) if min(sizes) > 0 else None

    def covers(self, other: Window) -> bool:
        """Whether the other box lies inside this one."""
        pairs = zip(self.sizes, self.offsets, other.sizes, other.offsets, strict=True)
        return all(at <= start and start + n <= at + size for size, at, n, start in pairs)

    @property
    def volume(self) -> int:
        """The number of latent pixels inside."""
        product = 1
        for size in self.sizes:
            product *= size
        return product

    def crop(self, x: Tensor) -> Tensor:
        """The view of x inside the box."""
        first = x.ndim - len(self.sizes)
        for i, (size, offset) in enumerate(zip(self.sizes, self.offsets, strict=True)):
            x = x.narrow(first + i, offset, size)
        return x

    def feather(self, space: Sequence[int]) -> Tensor | None:
        """Weights [1, 1, ...] that fade towards edges inside the latent; None if there are none."""
        sides = space[-len(self.sizes) :]
        weights = torch.ones(1, 1, *self.sizes)
        faded = False
        for i, (size, offset, side) in enumerate(zip(self.sizes, self.offsets, sides, strict=True)):
            ramp = _edges(size, fade_start=offset != 0, fade_end=offset + size < side)
            weights *= ramp.reshape(-1, *[1] * (len(self.sizes) - 1 - i))
            faded = faded or bool((ramp != 1).any())
        return weights if faded else None


def _edges(size: int, *, fade_start: bool, fade_end: bool) -> Tensor:
    weights = torch.ones(size)
    rows = min(FEATHER, size // 4)
    ramp = (torch.arange(rows) + 1) / max(rows, 1)
    if fade_start:
        weights[:rows] *= ramp
    if fade_end:
        weights[size - rows :] *= ramp.flip(0)
    return weights
