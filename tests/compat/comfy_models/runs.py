"""Runs of our KSampler, with prompts that are random numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.handle import ModelHandle
from models.protocol.sampling import sample_latent


def prompt(seed: int, **options: Any) -> list[list[Any]]:
    context = torch.randn(1, 77, 16, generator=torch.Generator().manual_seed(seed))
    return [[context, options]]


POSITIVE, NEGATIVE = prompt(1), prompt(2)
LATENT = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))


def run(model: ModelHandle, **changes: Any) -> Tensor:
    """What the KSampler node gives."""
    options: dict[str, Any] = {
        "seed": 11,
        "steps": 3,
        "cfg": 5.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": POSITIVE,
        "negative": NEGATIVE,
        **changes,
    }
    result: Tensor = sample_latent(model, {"samples": LATENT}, **options)["samples"]
    return result
