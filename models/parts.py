"""Parameters that are some rows of a weight in a file, such as each third of a fused projection.

Where a network of diffusers cuts the weights of the original apart, the weights keep their original
names and shapes, as patches and files have them; what the network gets are views of their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from models.stored import release

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
        rows = tensor.shape[0] if tensor.ndim else 1
        numbered[name] = torch.arange(total, total + rows)
        total += rows
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
        return Part(name, None if ranges == ((0, len(numbered[name])),) else ranges)

    return {name: part(rows) for name, rows in convert(dict(numbered)).items()}


def joined(
    tensors: Mapping[str, Tensor],
    layers: Mapping[str, Sequence[str]],
    swapped: Collection[str] = (),
) -> dict[str, Tensor]:
    """The weights of the original from those of a network: what a conversion has cut, put together.

    `layers` names the layers of the network that an original layer is made of, `swapped` original
    layers whose halves have changed places. Layers that the tensors lack are left out.
    """
    found: dict[str, Tensor] = {}
    for original, pieces in layers.items():
        for kind in ("weight", "bias"):
            parts = [tensors[name] for piece in pieces if (name := f"{piece}.{kind}") in tensors]
            if len(parts) < len(pieces):
                continue
            if original in swapped:
                parts = list(reversed(parts[0].chunk(2)))
            found[f"{original}.{kind}"] = parts[0] if len(parts) == 1 else _cat(parts)
    return found


def _cat(parts: list[Tensor]) -> Tensor:
    """The tensors, one after another; pages of the file that they came from are given back."""
    whole = torch.cat(parts)
    for part in parts:
        release(part)
    return whole
