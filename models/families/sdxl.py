"""Stable Diffusion XL, its distilled relatives (SSD-1B, Vega, KOALA) and Playground 2.5.

A UNet without attention at full resolution that is told sizes as a class vector; CLIP-L and
OpenCLIP-bigG side by side. Turbo, Lightning and LCM are this network.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from models.families.family import Family
from models.families.ldm_unet import (
    LABEL,
    build_unet,
    has_finest_attention,
    has_linear_projections,
    unet_part,
)
from models.families.ldm_vae import build_vae
from models.families.predictions import discrete_schedule
from models.protocol.class_vectors import NUMBER_CHANNELS, SDXL, SDXLRefiner
from models.protocol.latent_formats import SDXL as SDXLFormat
from models.protocol.latent_formats import LatentFormat, SDXL_Playground_2_5
from models.protocol.unet import UNetModel
from models.sampling.continuous import EdmSchedule
from models.sampling.prediction import Preconditioned
from models.sampling.schedule import Schedule
from models.text.combinations import sdxl_text
from models.weights import Weights

_EDM_LEVELS: Final = (0.002, 80.0)  # Karras et al. 2022, table 1
_EDM_DATA: Final = 0.5  # standard deviation of data there


def is_sdxl_like(weights: Weights) -> bool:
    """A UNet with a class vector, and with no attention at full resolution."""
    unet = unet_part(weights)
    has_class = LABEL in unet.tensors
    return not has_finest_attention(unet) and has_linear_projections(unet) and has_class


def is_refiner(weights: Weights) -> bool:
    """Whether its prompt is as wide as its pooled prompt: it has one text encoder, not two."""
    unet = unet_part(weights)
    attention = next(name for name in unet.tensors if name.endswith("attn2.to_k.weight"))
    pooled = unet.shape(LABEL)[1] - NUMBER_CHANNELS * SDXLRefiner.NUMBERS
    return unet.shape(attention)[1] == pooled


def recognise(weights: Weights) -> bool:
    """All but the refiner."""
    return is_sdxl_like(weights) and not is_refiner(weights)


def _playground(weights: Weights) -> tuple[Tensor, Tensor] | None:
    """The mean and the deviation of latents that only Playground's files state."""
    if "edm_mean" in weights.tensors:
        return weights.tensors["edm_mean"].float(), weights.tensors["edm_std"].float()
    stated = weights.config("vae")
    found = (stated.get("latents_mean"), stated.get("latents_std"))
    return None if None in found else (torch.tensor(found[0]), torch.tensor(found[1]))


def latent_format(weights: Weights) -> LatentFormat:
    """That of the usual VAE, or Playground's."""
    stated = _playground(weights)
    return SDXLFormat() if stated is None else SDXL_Playground_2_5(*stated)


def schedule(weights: Weights) -> Schedule:
    """The table of all Stable Diffusion, or Playground's levels."""
    if _playground(weights) is not None:
        return EdmSchedule(*_EDM_LEVELS, Preconditioned(_EDM_DATA))
    return discrete_schedule(weights)


FAMILY = Family(
    name="sdxl",
    recognise=recognise,
    build_denoiser=build_unet,
    build_text=sdxl_text,
    build_vae=build_vae,
    latent_format=latent_format,
    schedule=schedule,
    base_model=SDXL,
    diffusion_model=UNetModel,
)
