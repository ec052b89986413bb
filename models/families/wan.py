"""Wan 2.1 and 2.2: films of texts, of pictures, and of films to follow."""

from __future__ import annotations

from typing import Final

import torch

from models.families.family import Family
from models.families.wan_transformer import build_transformer, transformer_of
from models.protocol.latent_formats import LatentFormat, Wan21, Wan22
from models.protocol.wan import Wan, WanTransformer
from models.sampling.schedule import FlowSchedule
from models.text.combinations import wan_text
from models.weights import Weights

_SHIFT: Final = 5.0  # of noise levels, as the authors have it by default
_VALUES: Final = 4  # of a token, along both sides of a patch


def latent_format(weights: Weights) -> LatentFormat:
    """That of the VAE of 2.1, or of 2.2 for the small model."""
    wan = transformer_of(weights).tensors
    head = wan.get("head.head.weight", wan.get("proj_out.weight"))
    is_small = head is not None and head.shape[0] == Wan22.latent_channels * _VALUES
    return Wan22() if is_small else Wan21()


FAMILY = Family(
    name="wan",
    recognise=lambda weights: bool(transformer_of(weights).tensors),
    build_denoiser=build_transformer,
    build_text=wan_text,
    build_vae=lambda weights, dtype: None,
    latent_format=latent_format,
    schedule=lambda weights: FlowSchedule(shift=_SHIFT),
    base_model=Wan,
    diffusion_model=WanTransformer,
    vae_prefix="vae.",
    computed=(torch.bfloat16, torch.float16, torch.float32),
)
