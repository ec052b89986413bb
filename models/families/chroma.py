"""Chroma: Flux schnell made smaller and undistilled, which T5 alone tells what to draw."""

from __future__ import annotations

import torch

from models.families.chroma_transformer import (
    DIFFUSERS_MARKS,
    build_transformer,
    in_original_layout,
    recognise,
)
from models.families.family import DiffusersLayout, Family
from models.families.ldm_vae import NEWER_PREFIX, build_vae
from models.protocol.chroma import Chroma, ChromaTransformer
from models.protocol.latent_formats import Flux
from models.sampling.schedule import FlowSchedule
from models.text.combinations import chroma_text

FAMILY = Family(
    name="chroma",
    recognise=recognise,
    build_denoiser=build_transformer,
    build_text=chroma_text,
    build_vae=build_vae,
    latent_format=lambda weights: Flux(),
    schedule=lambda weights: FlowSchedule(shift=1.0, multiplier=1.0),  # its author's
    base_model=Chroma,
    diffusion_model=ChromaTransformer,
    diffusers=DiffusersLayout(DIFFUSERS_MARKS, in_original_layout),
    vae_prefix=NEWER_PREFIX,
    computed=(torch.bfloat16, torch.float16, torch.float32),  # it was trained in bfloat16
)
