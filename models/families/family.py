"""What a model family has to say: how it is recognised, and how its parts are built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from models.latent_format import LatentFormat
from models.network import Network
from models.sampling.schedule import Schedule
from models.weights import Weights


@dataclass(frozen=True, kw_only=True)
class Family:
    """One model family. A builder returns None when the file does not hold its part."""

    name: str
    recognise: Callable[[Weights], bool]  # by names and shapes of a file's tensors
    latent_format: LatentFormat
    build_unet: Callable[[Weights, torch.dtype], Network[Any] | None]
    build_text: Callable[[Weights, torch.dtype], Network[Any] | None]
    build_vae: Callable[[Weights, torch.dtype], Network[Any] | None]
    schedule: Callable[[Weights], Schedule]  # noise levels and what the network predicts
