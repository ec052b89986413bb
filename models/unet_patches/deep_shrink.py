"""Deep Shrink (Kohya 2023): deep layers see a smaller picture for the first part of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from models.math import resize


@dataclass(frozen=True, kw_only=True)
class DeepShrink:
    """Patches of the way down and of the way up."""

    block: int  # behind which block on the way down
    factor: float  # sides are divided by it
    start_sigma: float  # from this noise level
    end_sigma: float  # down to this one
    down_method: str  # of models.math.resize
    up_method: str

    def shrink(self, latent: Tensor, told: dict[str, Any]) -> Tensor:
        """[B, C, h, w] at a lower resolution, behind the block and at the levels that were set."""
        sigma = float(told["sigmas"].flatten()[0])
        if told["block"][1] != self.block or not self.end_sigma <= sigma <= self.start_sigma:
            return latent
        width, height = (
            max(round(side / self.factor), 1) for side in (latent.shape[3], latent.shape[2])
        )
        return resize(latent, width, height, self.down_method)

    def grow(self, latent: Tensor, skip: Tensor, told: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The latent at the resolution of its skip connection."""
        if latent.shape[2:] == skip.shape[2:]:
            return latent, skip
        return resize(latent, skip.shape[3], skip.shape[2], self.up_method), skip
