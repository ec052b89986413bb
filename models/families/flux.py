"""Flux.1: dev, schnell and Kontext, and the networks that see more: Fill, Canny and Depth."""

from __future__ import annotations

import torch

from models.families.family import DiffusersLayout, Family
from models.families.flux_transformer import (
    DIFFUSERS_MARKS,
    MARK,
    build_transformer,
    in_original_layout,
    transformer_of,
)
from models.families.ldm_vae import NEWER_PREFIX, build_vae
from models.protocol.flux import FluxTransformer
from models.protocol.flux_model import Flux
from models.protocol.latent_formats import Flux as FluxLatents
from models.protocol.latent_formats import LatentFormat
from models.sampling.schedule import FlowSchedule, FluxSchedule, Schedule
from models.text.combinations import flux_text
from models.weights import Weights


def recognise(weights: Weights) -> bool:
    """Double blocks, and a pooled prompt that modulates them."""
    flux = transformer_of(weights).tensors
    return MARK in flux and "vector_in.in_layer.weight" in flux and "img_in.weight" in flux


def latent_format(weights: Weights) -> LatentFormat:
    """That of the VAE of Flux."""
    return FluxLatents()


def schedule(weights: Weights) -> Schedule:
    """Bent times; straight ones for schnell, which takes few steps and no guidance."""
    if "guidance_in.in_layer.weight" in transformer_of(weights).tensors:
        return FluxSchedule()
    return FlowSchedule(shift=1.0, multiplier=1.0)


FAMILY = Family(
    name="flux",
    recognise=recognise,
    build_denoiser=build_transformer,
    build_text=flux_text,
    build_vae=build_vae,
    latent_format=latent_format,
    schedule=schedule,
    base_model=Flux,
    diffusion_model=FluxTransformer,
    vae_prefix=NEWER_PREFIX,
    diffusers=DiffusersLayout(DIFFUSERS_MARKS, in_original_layout),
    computed=(torch.bfloat16, torch.float16, torch.float32),  # it was trained in bfloat16
)
