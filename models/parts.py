"""Parameters that are some rows of a weight in a file, such as each third of a fused projection.

Where a network of diffusers cuts the weights of the original apart, the weights keep their original
names and shapes, as patches and files have them; what the network gets are views of their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

Rows = tuple[tuple[int, int], ...]  # ranges of rows (start, stop), one after another


@dataclass(frozen=True)
class Part:
    """What a parameter is of a weight."""

    weight: str  # its name
    rows: Rows | None = None  # None: all of it

    def of(self, weight: Tensor) -> Tensor:
        """The parameter: a view, unless ranges of rows change places."""
        if self.rows is None:
            return weight
        pieces = [weight[start:stop] for start, stop in self.rows]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def put(self, weight: Tensor, value: Tensor) -> Tensor:
        """A copy of the weight, with the parameter in its place."""
        if self.rows is None:
            return value
        changed = weight.clone()
        pieces = torch.split(value, [stop - start for start, stop in self.rows])
        for (start, stop), piece in zip(self.rows, pieces, strict=True):
            changed[start:stop] = piece
        return changed

    def shape(self, weight: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the parameter of a weight of some shape."""
        if self.rows is None:
            return weight
        return (sum(stop - start for start, stop in self.rows), *weight[1:])


def parts_of_conversion(
    convert: Callable[[dict[str, Tensor]], Mapping[str, Tensor]], tensors: Mapping[str, Tensor]
) -> dict[str, Part]:
    """Parameter name -> part, by what a converter does; it may split, join and swap rows only.

    The converter gets numbers of rows for tensors, so that it moves no weights.
    """
    starts: list[int] = []
    numbered: dict[str, Tensor] = {}
    total = 0
    for name, tensor in tensors.items():
        starts.append(total)
        numbered[name] = torch.arange(total, total + len(tensor))
        total += len(tensor)
    names, first = list(tensors), torch.tensor(starts)

    def part(rows: Tensor) -> Part:
        source = int(torch.searchsorted(first, rows[0], right=True)) - 1
        name = names[source]
        jumps = (rows.diff() != 1).nonzero().flatten() + 1
        bounds = [0, *jumps.tolist(), len(rows)]
        ranges = tuple(
            (int(rows[start]) - starts[source], int(rows[stop - 1]) - starts[source] + 1)
            for start, stop in pairwise(bounds)
        )
        return Part(name, None if ranges == ((0, len(tensors[name])),) else ranges)

    return {parameter: part(rows) for parameter, rows in convert(numbered).items()}
