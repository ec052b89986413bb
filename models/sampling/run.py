"""One run of a sampler over a list of sigmas: noise in, latent out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from models.sampling.mask import KnownRegion, fit_mask
from models.sampling.model import DiffusionModel
from models.sampling.noise import prepare_noise
from models.sampling.samplers.sampler import (
    Denoiser,
    Sampler,
    falling_sigmas_needed,
    noise_of,
)

Progress = Callable[[int, int, Tensor, Tensor], None]
"""callback(step, total, denoised, x), latents in model space; may raise to stop the run."""


class Guider(Protocol):
    """Makes the denoiser of a run."""

    def prepare(self, model: DiffusionModel, x: Tensor, region: KnownRegion | None) -> Denoiser:
        """A denoiser for latents of x's shape and device."""


def run_sampler(
    model: DiffusionModel,
    noise: Tensor,
    sigmas: Sequence[float],
    *,
    sampler: Sampler,
    guider: Guider,
    latent: Tensor,
    seed: int,
    noise_mask: Tensor | None = None,
    callback: Progress | None = None,
) -> Tensor:
    """Sample along sigmas; latent and result [B, C, ...] are in raw VAE units, result on the CPU.

    An empty list of sigmas returns the latent as it is. Raises ValueError for seeds that the
    sampler's noise cannot take, InvalidInput for sigmas that it cannot go along, and whatever the
    callback raises.
    """
    if len(sigmas) == 0:
        return latent
    sigmas = list(sigmas)
    if sigmas[-1] == 0:
        sigmas[-1] = sampler.last_sigma
    schedule = model.schedule
    noise = noise.to(model.device, torch.float32)
    start = _to_model_space(model, latent)
    x = schedule.noise_latent(start, noise, sigmas[0], schedule.is_max(sigmas[0]))
    mask_noise = prepare_noise(noise.cpu(), seed + 1) if sampler.draws_mask_noise else noise
    region = None
    if noise_mask is not None:
        region = KnownRegion(
            mask=fit_mask(noise_mask, x),
            latent=start,
            noise=mask_noise.to(model.device),
            schedule=schedule,
        )
    total = len(sigmas) - 1

    def report(step: int, x: Tensor, denoised: Tensor) -> None:
        if callback is not None:
            callback(step, total, denoised, x)

    denoiser = guider.prepare(model, x, region)
    drawn = noise_of(sampler.noise, x, sigmas, seed)
    with falling_sigmas_needed(sigmas):
        x = sampler.function(denoiser, x, sigmas, drawn, report, **sampler.options)
    return model.latent_format.scale_out(schedule.finish(x, sigmas[-1])).cpu()


def _to_model_space(model: DiffusionModel, latent: Tensor) -> Tensor:
    latent = latent.to(model.device, torch.float32)
    # An empty latent stays empty: the format's shift would turn it into a grey picture.
    return model.latent_format.scale_in(latent) if latent.count_nonzero() else latent
