"""Z-Image: Turbo, which is distilled to few steps without guidance, and the base model."""

from __future__ import annotations

import torch

from models.families.family import DiffusersLayout, Family
from models.families.ldm_vae import NEWER_PREFIX, build_vae
from models.families.z_image_transformer import (
    DIFFUSERS_MARKS,
    build_transformer,
    in_original_layout,
    recognise,
)
from models.protocol.latent_formats import Flux
from models.protocol.z_image import ZImage, ZImageTransformer
from models.sampling.schedule import FlowSchedule
from models.text.combinations import z_image_text

FAMILY = Family(
    name="z_image",
    recognise=recognise,
    build_denoiser=build_transformer,
    build_text=z_image_text,
    build_vae=build_vae,
    latent_format=lambda weights: Flux(),
    # The shift of Turbo's published scheduler; nothing in a file tells it from the base model.
    schedule=lambda weights: FlowSchedule(shift=3.0, multiplier=1.0),
    base_model=ZImage,
    diffusion_model=ZImageTransformer,
    diffusers=DiffusersLayout(DIFFUSERS_MARKS, in_original_layout),
    vae_prefix=NEWER_PREFIX,
    computed=(torch.bfloat16, torch.float32),  # its activations overflow float16
)
