"""A denoiser with a closed form, for tests of the loop around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.protocol.latent_formats import LatentFormat
from models.sampling.schedule import DiscreteSchedule, Schedule


def latent_format(channels: int = 4, *, scale: float = 1.0, shift: float = 0.0) -> LatentFormat:
    """A latent space of any size."""
    made = LatentFormat()
    made.latent_channels, made.scale_factor, made.shift_factor = channels, scale, shift
    return made


class MeanModel:
    """Predicts the prompt's mean everywhere, whatever the noise."""

    def __init__(self, schedule: Schedule | None = None, space: LatentFormat | None = None):
        self.schedule = schedule or DiscreteSchedule.scaled_linear()
        self.latent_format = space or LatentFormat()
        self.device = torch.device("cpu")
        self.dtype = torch.float32
        self.stretches_context = True
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
