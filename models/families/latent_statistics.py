"""Means and deviations of latents that files hold beside an autoencoder, one for each channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from models.weights import Weights

# In a network -> in files.
NAMES: Final[Mapping[str, str]] = {
    "statistics.mean": "latents_mean",
    "statistics.deviation": "latents_std",
}


def statistics_in(vae: Weights, channels: int) -> dict[str, Tensor]:
    """Those of a file under the names of a network; 0 and 1 where it has none."""
    usual = (torch.zeros(channels), torch.ones(channels))
    return {
        ours: vae.tensors.get(theirs, value)
        for (ours, theirs), value in zip(NAMES.items(), usual, strict=True)
    }


def with_statistics(module: Any, channels: int) -> Any:
    """The module with a place for them."""
    # As a part: diffusers' classes keep options of these names.
    module.statistics = nn.Module()
    for name in NAMES:
        module.statistics.register_buffer(name.rpartition(".")[2], torch.empty(channels))
    return module


def statistics_of(module: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, deviation) for latents [B, C, ...], as these are placed."""
    shape = (-1, *(1,) * (like.ndim - 2))
    found = module.statistics
    return found.mean.view(shape).to(like), found.deviation.view(shape).to(like)
