"""Stable Diffusion 3 and 3.5: MMDiT, text encoders CLIP-L, CLIP-G and T5-XXL, 16-channel VAE."""

from __future__ import annotations

from models.families.family import DiffusersLayout, Family
from models.families.ldm_vae import build_vae
from models.families.mmdit import (
    DIFFUSERS_MARKS,
    MARK,
    build_mmdit,
    in_original_layout,
    mmdit_of,
)
from models.protocol.latent_formats import SD3 as Latents
from models.protocol.mmdit import SD3, MMDiT
from models.sampling.schedule import FlowSchedule
from models.text.combinations import sd3_text

FAMILY = Family(
    name="sd3",
    recognise=lambda weights: MARK in mmdit_of(weights).tensors,
    build_denoiser=build_mmdit,
    build_text=sd3_text,
    build_vae=build_vae,
    latent_format=lambda weights: Latents(),
    schedule=lambda weights: FlowSchedule(shift=3.0),
    base_model=SD3,
    diffusion_model=MMDiT,
    diffusers=DiffusersLayout(DIFFUSERS_MARKS, in_original_layout),
)
