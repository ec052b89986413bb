"""Token merging for Stable Diffusion (Bolya and Hoffman 2023): fewer queries in self-attention."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

STRIDE = 2  # one destination in each square of so many tokens a side
SEED = 0  # of the places of destinations: the same in every run


@dataclass(frozen=True)
class Merging:
    """Which tokens [B, N] go into which: `sources` vanish, `targets` take them up."""

    sources: Tensor  # [B, M] places of the tokens that are merged away
    targets: Tensor  # [B, M] places of what each is merged into
    kept: Tensor  # [B, N - M] places of the others, in order

    def merge(self, tokens: Tensor) -> Tensor:
        """[B, N, C] to [B, N - M, C]: a target becomes the mean of all that it stands for."""
        width = tokens.shape[-1]
        away = tokens.gather(1, _wide(self.sources, width))
        merged = tokens.scatter_reduce(1, _wide(self.targets, width), away, reduce="mean")
        return merged.gather(1, _wide(self.kept, width))

    def unmerge(self, tokens: Tensor) -> Tensor:
        """[B, N - M, C] to [B, N, C]: what was merged away gets a copy of its target."""
        batch, count, width = tokens.shape
        whole = tokens.new_zeros(batch, count + self.sources.shape[1], width)
        whole = whole.scatter(1, _wide(self.kept, width), tokens)
        copies = whole.gather(1, _wide(self.targets, width))
        return whole.scatter(1, _wide(self.sources, width), copies)


def _wide(places: Tensor, width: int) -> Tensor:
    return places.unsqueeze(-1).expand(-1, -1, width)


def match(
    tokens: Tensor, height: int, width: int, ratio: float, generator: torch.Generator
) -> Merging:
    """Bipartite soft matching of tokens [B, h w, C], algorithm of section 3 and 4.2.

    Destinations are one random token of each square; of the others those most like a
    destination are merged into it, `ratio` of all tokens.
    """
    batch, count, _ = tokens.shape
    destinations = _destinations(height, width, generator).to(tokens.device)
    is_source = torch.ones(count, dtype=torch.bool, device=tokens.device)
    is_source[destinations] = False
    sources = is_source.nonzero().flatten()
    unit = functional.normalize(tokens, dim=-1)
    likeness, nearest = (unit[:, sources] @ unit[:, destinations].transpose(1, 2)).max(dim=-1)
    merged = likeness.argsort(dim=-1, descending=True)[:, : min(len(sources), int(count * ratio))]
    gone = sources[merged]
    stays = torch.ones(batch, count, dtype=torch.bool, device=tokens.device)
    stays.scatter_(1, gone, False)
    kept = stays.nonzero()[:, 1].reshape(batch, -1)
    return Merging(gone, destinations[nearest.gather(1, merged)], kept)


def _destinations(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Places [number of squares] of one token in each whole square."""
    rows, columns = height // STRIDE, width // STRIDE
    within = torch.randint(STRIDE * STRIDE, (rows, columns), generator=generator)
    row = torch.arange(rows)[:, None] * STRIDE + within // STRIDE
    column = torch.arange(columns)[None, :] * STRIDE + within % STRIDE
    return (row * width + column).flatten()


@dataclass
class TokenMerging:
    """Patches of the inputs and the output of self-attention; `reset` begins a run."""

    ratio: float
    _generator: torch.Generator = field(default_factory=torch.Generator)
    _merging: Merging | None = None  # of the call that goes on

    def reset(self) -> None:
        """A run begins: the same places come again."""
        self._generator.manual_seed(SEED)
        self._merging = None

    def shrink(
        self, q: Tensor, k: Tensor, v: Tensor, told: dict[str, Any]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries merged where the level has the latent's resolution."""
        height, width = told["original_shape"][-2:]
        if q.shape[1] != height * width or min(height, width) < STRIDE:
            self._merging = None
            return q, k, v
        self._merging = match(q, height, width, self.ratio, self._generator)
        return self._merging.merge(q), k, v

    def grow(self, output: Tensor, told: dict[str, Any]) -> Tensor:
        """As many tokens as there were."""
        merging, self._merging = self._merging, None
        return output if merging is None else merging.unmerge(output)
