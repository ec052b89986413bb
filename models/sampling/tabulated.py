"""Schedules that others have optimised for families of models and published as short lists."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
import torch
from torch import Tensor

from models.sampling.schedule import DiscreteSchedule

SMALLEST: Final = 0.001  # stands for 0 at the end of lists that are interpolated in the logarithm

# Optimal Stepsize for Diffusion Sampling (Pei et al. 2025), and the list published with Chroma.
_OPTIMAL_STEPS: Final[dict[str, Sequence[float]]] = {
    "FLUX": (
        0.9968, 0.9886, 0.9819, 0.975, 0.966, 0.9471, 0.9158, 0.8287, 0.5512, 0.2808, SMALLEST,
    ),
    "Wan": (
        1.0, 0.997, 0.995, 0.993, 0.991, 0.989, 0.987, 0.985, 0.98, 0.975, 0.973, 0.968, 0.96,
        0.946, 0.927, 0.902, 0.864, 0.776, 0.539, 0.208, SMALLEST,
    ),
    "Chroma": (
        0.992, 0.99, 0.988, 0.985, 0.982, 0.978, 0.973, 0.968, 0.961, 0.953, 0.943, 0.931, 0.917,
        0.9, 0.881, 0.858, 0.832, 0.802, 0.769, 0.731, 0.69, 0.646, 0.599, 0.55, 0.501, 0.451,
        0.402, 0.355, 0.311, 0.27, 0.232, 0.199, 0.169, 0.143, 0.12, 0.101, 0.084, 0.07, 0.058,
        0.048, SMALLEST,
    ),
}  # fmt: skip


@cache
def _align_your_steps() -> dict[str, Sequence[float]]:
    """The lists of Align Your Steps; those of Stable Diffusion as exact levels of its table."""
    from diffusers.schedulers.scheduling_utils import AysSchedules

    table = DiscreteSchedule().sigmas
    levels = {
        name: [float(table[t]) for t in (*AysSchedules[key], 0)]
        for name, key in (
            ("SD1", "StableDiffusionTimesteps"),
            ("SDXL", "StableDiffusionXLTimesteps"),
        )
    }
    video = AysSchedules["StableDiffusionVideoSigmas"]
    return {**levels, "SVD": [*video[:-1], 0.002]}  # the smallest level of its training


def align_your_steps(model_type: str, steps: int, denoise: float = 1.0) -> Tensor:
    """Align Your Steps (Sabour et al. 2024) for SD1, SDXL or SVD; see `resampled`."""
    return resampled(_align_your_steps()[model_type], steps, denoise)


def optimal_steps(model_type: str, steps: int, denoise: float = 1.0) -> Tensor:
    """The optimal step sizes of FLUX, Wan or Chroma; see `resampled`."""
    return resampled(_OPTIMAL_STEPS[model_type], steps, denoise)


def resampled(levels: Sequence[float], steps: int, denoise: float = 1.0) -> Tensor:
    """A list for so many steps, ending in 0: log sigma is linear between the given levels.

    denoise below 1 keeps that share of the steps, the last ones; 0 gives an empty list.
    """
    if denoise <= 0.0:
        return torch.empty(0)
    kept = round(steps * denoise) if denoise < 1.0 else steps
    places = np.linspace(0, 1, steps + 1)
    logs = np.interp(places, np.linspace(0, 1, len(levels)), np.log(levels))
    sigmas = torch.from_numpy(np.exp(logs)).float()[-(kept + 1) :]
    sigmas[-1] = 0.0
    return sigmas
