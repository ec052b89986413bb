"""HyperTile (tfernd 2023): self-attention within tiles of the picture instead of all of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

SEED = 0  # of the choices among tile counts: the same in every run


def tile_counts(side: int, smallest: int, choices: int) -> list[int]:
    """How many equal tiles of at least `smallest` fit along a side: the most, and fewer."""
    smallest = min(smallest, side)
    sizes = [size for size in range(smallest, side + 1) if side % size == 0]
    return [side // size for size in sizes[:choices]]


@dataclass
class HyperTile:
    """Patches of the inputs and the output of self-attention; `reset` begins a run."""

    tile: int  # the smallest side of a tile, in latent pixels
    choices: int  # among how many tile counts to choose anew at every call
    depth: int  # down to which level to tile; 0: the finest only
    scale_depth: bool  # count the tile's side in pixels of the level
    _generator: torch.Generator = field(default_factory=torch.Generator)
    _grid: tuple[int, int, int, int] | None = None  # of the call that goes on

    def reset(self) -> None:
        """A run begins: the same choices come again."""
        self._generator.manual_seed(SEED)
        self._grid = None

    def split(
        self, q: Tensor, k: Tensor, v: Tensor, told: dict[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [B, h w, C] as [B tiles, tokens of a tile, C]."""
        self._grid = self._choose(q.shape[1], told["original_shape"])
        if self._grid is None:
            return q, k, v
        return self._tiles(q), self._tiles(k), self._tiles(v)

    def join(self, output: Tensor, told: dict[str, Any]) -> Tensor:
        """The inverse, for the output."""
        if self._grid is None:
            return output
        rows, columns, height, width = self._grid
        self._grid = None
        tiles = output.reshape(-1, rows, columns, height // rows, width // columns, output.shape[2])
        return tiles.transpose(2, 3).reshape(-1, height * width, output.shape[2])

    def _tiles(self, tokens: Tensor) -> Tensor:
        assert self._grid is not None
        rows, columns, height, width = self._grid
        grid = tokens.reshape(-1, rows, height // rows, columns, width // columns, tokens.shape[2])
        in_a_tile = (height // rows) * (width // columns)
        return grid.transpose(2, 3).reshape(-1, in_a_tile, tokens.shape[2])

    def _choose(self, tokens: int, shape: list[int]) -> tuple[int, int, int, int] | None:
        """(rows, columns, height, width) of the tiles of a level; None: leave it whole."""
        level = round(math.log2(max(shape[-2] * shape[-1] / tokens, 1)) / 2)
        height, width = (-(-side // 2**level) for side in shape[-2:])
        if level > self.depth or height * width != tokens:
            return None
        smallest = self.tile * 2**level if self.scale_depth else self.tile
        rows, columns = (self._pick(side, smallest) for side in (height, width))
        return None if rows * columns == 1 else (rows, columns, height, width)

    def _pick(self, side: int, smallest: int) -> int:
        counts = tile_counts(side, smallest, self.choices)
        return counts[int(torch.randint(len(counts), (1,), generator=self._generator))]
