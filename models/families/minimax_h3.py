"""MiniMax-H3: films with sounds, of texts, of first and last frames, of what is referred to."""

from __future__ import annotations

import torch

from models.families.family import Family
from models.families.minimax_h3_transformer import build_transformer, transformer_of
from models.protocol.latent_formats import MiniMaxH3 as MiniMaxH3Latents
from models.protocol.minimax_h3 import FILM_SHIFT, MiniMaxH3, MiniMaxH3Transformer
from models.sampling.schedule import FlowSchedule

FAMILY = Family(
    name="minimax_h3",
    recognise=lambda weights: bool(transformer_of(weights).tensors),
    build_denoiser=build_transformer,
    build_text=lambda weights, policy, folders: None,  # Qwen3-VL has a file of its own
    build_vae=lambda weights, dtype: None,  # as have the VAEs: see models.film and models.audio
    latent_format=lambda weights: MiniMaxH3Latents(),
    schedule=lambda weights: FlowSchedule(shift=FILM_SHIFT, multiplier=1.0),
    base_model=MiniMaxH3,
    diffusion_model=MiniMaxH3Transformer,
    vae_prefix="vae.",
    computed=(torch.bfloat16, torch.float32),
)
