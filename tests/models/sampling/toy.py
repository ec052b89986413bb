"""A denoiser with a closed form, for tests of the loop around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.latent_format import LatentFormat
from models.sampling.schedule import DiscreteSchedule, Schedule


class MeanModel:
    """Predicts the prompt's mean everywhere, whatever the noise."""

    def __init__(self, schedule: Schedule | None = None, latent_format: LatentFormat | None = None):
        self.schedule = schedule or DiscreteSchedule.scaled_linear()
        self.latent_format = latent_format or LatentFormat(channels=4)
        self.device = torch.device("cpu")
        self.dtype = torch.float32
        self.contexts: list[tuple[int, ...]] = []  # shape of each call's context
        self.pooled: list[Tensor] = []  # of each call, if the conditioning has any

    def extra_conditioning(self, options: Mapping[str, Any], x: Tensor) -> Mapping[str, Tensor]:
        return {"pooled": options["pooled"]} if "pooled" in options else {}

    def denoised(self, x: Tensor, sigma: Tensor, context: Tensor, **conditioning: Tensor) -> Tensor:
        self.contexts.append(tuple(context.shape))
        if "pooled" in conditioning:
            self.pooled.append(conditioning["pooled"])
        means = context.mean(dim=(1, 2)).reshape(-1, *[1] * (x.ndim - 1))
        return means.expand_as(x).clone()


def prompt(value: float, tokens: int = 1, **options: Any) -> list[list[Any]]:
    """A CONDITIONING with one entry."""
    return [[torch.full((1, tokens, 2), value), options]]
