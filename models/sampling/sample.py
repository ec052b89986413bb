"""Sampling as the KSampler nodes define it: from steps and names to a finished latent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.sampling.conditioning import Conditioning
from models.sampling.guidance import CfgGuider
from models.sampling.model import DiffusionModel
from models.sampling.noise import prepare_noise
from models.sampling.run import Progress, run_sampler
from models.sampling.samplers import SAMPLERS
from models.sampling.schedulers import sigmas_for_run


def sample(
    model: DiffusionModel,
    noise: Tensor,
    *,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent: Tensor,
    seed: int,
    denoise: float = 1.0,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
    disable_noise: bool = False,
    noise_mask: Tensor | None = None,
    callback: Progress | None = None,
) -> Tensor:
    """Denoise a latent [B, C, ...] in raw VAE units; the result is a new float32 CPU tensor.

    noise has the latent's shape (see `prepare_noise`). Unknown sampler and scheduler names mean
    euler and simple, as in ComfyUI; nodes check them earlier. If no step is left to do, the
    latent comes back as it is.
    """
    sigmas = cut(
        sigmas_for_run(
            model.schedule, scheduler, steps, sampler_name=sampler_name, denoise=denoise
        ),
        start_step,
        last_step,
        force_full_denoise,
    )
    return run_sampler(
        model,
        torch.zeros_like(noise) if disable_noise else noise,
        sigmas.tolist(),
        sampler=SAMPLERS.get(sampler_name, SAMPLERS["euler"]),
        guider=CfgGuider(positive, negative, cfg),
        latent=latent,
        seed=seed,
        noise_mask=noise_mask,
        callback=callback,
    )


def cut(
    sigmas: Tensor, start_step: int | None, last_step: int | None, force_full_denoise: bool
) -> Tensor:
    """The part of a schedule between two steps; empty if nothing is left."""
    if last_step is not None and last_step < len(sigmas) - 1:
        sigmas = sigmas[: last_step + 1].clone()
        if force_full_denoise:
            sigmas[-1] = 0.0
    if start_step is None:
        return sigmas
    return sigmas[start_step:] if start_step < len(sigmas) - 1 else sigmas[:0]


def sample_latent(
    model: DiffusionModel, latent: Mapping[str, Any], *, seed: int, **options: Any
) -> dict[str, Any]:
    """`sample` for a LATENT value: draws the noise and keeps the value's other entries.

    Options are those of `sample`, except noise, latent and noise_mask.
    """
    samples = fit_empty_latent(model, latent["samples"])
    if options.get("disable_noise"):
        noise = torch.zeros_like(samples)
    else:
        noise = prepare_noise(samples, seed, latent.get("batch_index"))
    result = sample(
        model,
        noise,
        latent=samples,
        seed=seed,
        noise_mask=latent.get("noise_mask"),
        **options,
    )
    return {**latent, "samples": result}


def fit_empty_latent(model: DiffusionModel, latent: Tensor) -> Tensor:
    """Give an all-zero latent [B, C, ...] the model's number of channels."""
    channels = model.latent_format.channels
    if latent.shape[1] == channels or latent.count_nonzero():
        return latent
    return latent.new_zeros(latent.shape[0], channels, *latent.shape[2:])
