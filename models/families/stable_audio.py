"""Stable Audio Open 1.0: a transformer on latents of stereo sounds, and T5-base for prompts."""

from __future__ import annotations

import torch

from models.families.family import Family
from models.families.stable_audio_transformer import MARK, build_transformer, transformer_of
from models.protocol.latent_formats import StableAudio1
from models.protocol.stable_audio import StableAudio, StableAudioTransformer
from models.sampling.continuous import AngleSchedule
from models.sampling.prediction import VELOCITY

FAMILY = Family(
    name="stable_audio",
    recognise=lambda weights: MARK in transformer_of(weights).tensors,
    build_denoiser=build_transformer,
    build_text=lambda weights, policy, folders: None,  # T5-base has a file of its own
    build_vae=lambda weights, dtype: None,  # it is one of sounds: see models.audio
    latent_format=lambda weights: StableAudio1(),
    schedule=lambda weights: AngleSchedule(0.3, 500.0, VELOCITY),
    base_model=StableAudio,
    diffusion_model=StableAudioTransformer,
    vae_prefix="pretransform.model.",
    computed=(torch.float16, torch.bfloat16, torch.float32),
)
