"""FreeU (Si et al. 2023): on the way up a stronger backbone and weaker low frequencies of skips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

FREQUENCIES = 1  # so many around 0, along both axes and in both directions, are low


@dataclass(frozen=True, kw_only=True)
class FreeU:
    """A patch of the way up; `scales` has (backbone, skip) for the width of the latent there."""

    scales: Mapping[int, tuple[float, float]]
    by_content: bool  # version 2: scale the backbone where it is active

    def __call__(self, latent: Tensor, skip: Tensor, told: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """latent and skip [B, C, h, w]; half the channels of the latent are scaled."""
        found = self.scales.get(latent.shape[1])
        if found is None:
            return latent, skip
        from diffusers.utils.torch_utils import fourier_filter

        backbone, low = found
        factor = 1 + (backbone - 1) * activity(latent) if self.by_content else backbone
        scaled = latent.clone()
        scaled[:, : latent.shape[1] // 2] *= factor
        filtered: Tensor = fourier_filter(skip, FREQUENCIES, low)
        return scaled, filtered


def activity(latent: Tensor) -> Tensor:
    """The mean of the channels, moved to 0..1 over each item, [B, 1, h, w]; NaN if it is flat."""
    mean = latent.mean(dim=1, keepdim=True)
    flat = mean.flatten(1)
    low, high = (value.reshape(-1, 1, 1, 1) for value in (flat.amin(dim=1), flat.amax(dim=1)))
    return (mean - low) / (high - low)
