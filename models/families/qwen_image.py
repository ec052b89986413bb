"""Qwen-Image and its relatives: Edit (with pictures to refer to), Layered."""

from __future__ import annotations

import torch

from models.families.family import Family
from models.families.qwen_transformer import MARK, build_transformer, transformer_of
from models.protocol.latent_formats import Wan21
from models.protocol.qwen_image import QwenImage, QwenTransformer
from models.sampling.schedule import FluxSchedule
from models.text.combinations import qwen_image_text

FAMILY = Family(
    name="qwen_image",
    recognise=lambda weights: MARK in transformer_of(weights).tensors,
    build_denoiser=build_transformer,
    build_text=qwen_image_text,
    build_vae=lambda weights, dtype: None,
    latent_format=lambda weights: Wan21(),
    schedule=lambda weights: FluxSchedule(),
    base_model=QwenImage,
    diffusion_model=QwenTransformer,
    vae_prefix="vae.",
    computed=(torch.bfloat16, torch.float32),  # its activations overflow float16
)
