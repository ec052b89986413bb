"""Qwen-Image 2.1: drawing and editing, with a language model that sees."""

from __future__ import annotations

import torch

from models.families.family import Family
from models.families.qwen21_transformer import MARK, build_transformer, transformer_of
from models.protocol.latent_formats import QwenImage21 as Latents
from models.protocol.qwen_image21 import Qwen21Transformer, QwenImage21
from models.sampling.schedule import FluxSchedule
from models.text.combinations import qwen_image21_text

FAMILY = Family(
    name="qwen_image_2_1",
    recognise=lambda weights: MARK in transformer_of(weights).tensors,
    build_denoiser=build_transformer,
    build_text=qwen_image21_text,
    build_vae=lambda weights, dtype: None,  # one of films: see models.film.load
    latent_format=lambda weights: Latents(),
    schedule=lambda weights: FluxSchedule(),
    base_model=QwenImage21,
    diffusion_model=Qwen21Transformer,
    vae_prefix="vae.",
    computed=(torch.bfloat16, torch.float32),
)
