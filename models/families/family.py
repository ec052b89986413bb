"""What a model family has to say: how it is recognised, and how its parts are built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from models.memory import COMPUTED, Policy
from models.network import Network
from models.protocol.base_model import BaseModel
from models.protocol.denoiser import Denoiser
from models.protocol.latent_formats import LatentFormat
from models.sampling.schedule import Schedule
from models.weights import Weights

if TYPE_CHECKING:
    from models.text.combinations import TextFolders
    from models.text.handle import TextHandle


@dataclass(frozen=True)
class DiffusersLayout:
    """The names that a family's denoiser has in diffusers' own files."""

    marks: tuple[str, ...]  # all of them are in such a file, and together in no other
    to_original: Callable[[Weights], Weights]  # the same tensors by their original names


@dataclass(frozen=True, kw_only=True)
class Family:
    """One model family. A builder returns None when the file does not hold its part."""

    name: str
    recognise: Callable[[Weights], bool]  # by names and shapes of a file's tensors
    build_denoiser: Callable[[Weights, torch.dtype], Network[Any] | None]
    build_text: Callable[[Weights, Policy, TextFolders], TextHandle | None]
    build_vae: Callable[[Weights, torch.dtype], Network[Any] | None]
    latent_format: Callable[[Weights], LatentFormat]
    schedule: Callable[[Weights], Schedule]  # noise levels and what the network predicts
    base_model: type[BaseModel]  # which inputs of the network a CONDITIONING stands for
    diffusion_model: type[Denoiser]  # how the network is called
    diffusers: DiffusersLayout | None = None  # UNets need none: see diffusers_names
    vae_prefix: str = "first_stage_model."  # of the VAE in checkpoints that are written
    computed: tuple[torch.dtype, ...] = COMPUTED  # what it bears to be computed in, best first
