"""The analytic denoiser behind the sampling cases, as a model that the sampling loop accepts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.sampling.prediction import VELOCITY
from models.sampling.schedule import DiscreteSchedule, FlowSchedule, FluxSchedule, Schedule
from tests.models.sampling.toy import latent_format

SCALES = {"sd15scaled": 0.18215}  # all others 1


@cache
def schedule(kind: str) -> Schedule:
    """The noise schedule of a toy model kind."""
    schedules: dict[str, Schedule] = {
        "eps": DiscreteSchedule.scaled_linear(),
        "v": DiscreteSchedule.scaled_linear(VELOCITY),
        "zsnr": DiscreteSchedule.scaled_linear(VELOCITY, zero_snr=True),
        "flow3": FlowSchedule(3.0),
        "flow1": FlowSchedule(1.0, multiplier=1.0),
        "flux": FluxSchedule(1.15),
        "sd15scaled": DiscreteSchedule.scaled_linear(),
    }
    return schedules[kind]


class ToyModel:
    """u = x / sqrt(1 + sigma^2); the target is a tanh of mixed channels, prompt and a roll."""

    def __init__(self, kind: str, channels: int) -> None:
        self.schedule = schedule(kind)
        self.latent_format = latent_format(channels, scale=SCALES.get(kind, 1.0))
        self.device = torch.device("cpu")
        self.dtype = torch.float32
        self.stretches_context = True
        self.seen_sigmas: list[float] = []  # of each call
        self.seen_x: list[Tensor] = []  # the first call's worth of each input

    def extra_conditioning(self, options: Mapping[str, Any], x: Tensor) -> Mapping[str, Tensor]:
        return {}

    def denoised(self, x: Tensor, sigma: Tensor, context: Tensor, **conditioning: Tensor) -> Tensor:
        self.seen_sigmas.append(float(sigma[0]))
        self.seen_x.append(x)
        lead = (-1,) + (1,) * (x.ndim - 1)
        s = sigma.reshape(lead)
        p = context.mean(dim=(1, 2)).reshape(lead)
        u = x / (1 + s * s).sqrt()
        c = torch.arange(x.shape[1], dtype=torch.float32)
        mixing = 0.6 * (0.7 * c[:, None] + 1.3 * c[None, :] + 0.5).cos() / x.shape[1] ** 0.5
        mixed = torch.einsum("ck,bk...->bc...", mixing, u)
        tint = c.cos().reshape(1, -1, *[1] * (x.ndim - 2))
        target = (1.2 * mixed + p * tint + 0.15 * u.roll(1, dims=-1)).tanh()
        keep = 0.25 / (0.25 + s * s)
        return keep * x + (1 - keep) * target


def conditioning(
    value: float, options: dict[str, Any] | None = None, tokens: int = 1
) -> list[list[Any]]:
    """A CONDITIONING whose prompt is one number."""
    return [[torch.full((1, tokens, 8), value), options or {}]]


def tensor(array: NDArray[Any] | None) -> Tensor | None:
    """A torch tensor of an optional array."""
    return None if array is None else torch.from_numpy(np.ascontiguousarray(array))
