"""Runs that are put together of parts: noise, guider, sampler and sigmas as values of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from models.joint_latent import JointLatent, each_part
from models.protocol.replaced import current
from models.protocol.sampling import fitted, sample
from models.sampling.run import Progress

Latent = Mapping[str, Any]  # a LATENT value


class Noise(Protocol):
    """What goes through NOISE sockets."""

    seed: int  # of what the sampler draws on the way

    def generate_noise(self, input_latent: Latent) -> Tensor:
        """The initial noise of a LATENT value, on the CPU."""


def sample_custom(
    model: Any,
    noise: Tensor,
    cfg: float,
    sampler: Any,
    sigmas: Tensor,
    positive: Sequence[Any],
    negative: Sequence[Any],
    latent_image: Tensor,
    noise_mask: Tensor | None = None,
    callback: Callable[..., Any] | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor:
    """A run of a sampler object along sigmas with classifier-free guidance; raw VAE units."""
    run = current("comfy.samplers.sample", sample)
    result: Tensor = run(
        model, noise, positive, negative, cfg, model.load_device, sampler, sigmas,
        model_options=model.model_options, latent_image=latent_image, denoise_mask=noise_mask,
        callback=callback, disable_pbar=disable_pbar, seed=seed,
    )  # fmt: skip
    return result


class _LastPrediction:
    """Passes reports of a run on, and remembers what was predicted last."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.denoised: Tensor | None = None

    def __call__(self, step: int, denoised: Tensor, x: Tensor, total: int) -> None:
        self.denoised = denoised
        self._progress(step, total, denoised, x)


def sample_with_guider(
    guider: Any, noise: Noise, sampler: Any, sigmas: Tensor, latent: Latent, progress: Progress
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The LATENT at the last sigma, and the last prediction of the clean one."""
    patcher = guider.model_patcher
    started = fitted(patcher, latent)
    last = _LastPrediction(progress)
    samples = guider.sample(
        noise.generate_noise(started),
        started["samples"],
        sampler,
        sigmas.clone(),  # some samplers change its end
        denoise_mask=started.get("noise_mask"),
        callback=last,
        disable_pbar=False,
        seed=noise.seed,
    )
    return _finished(patcher, started, samples, last)


def sample_with_prompts(
    model: Any,
    noise: Noise,
    *,
    seed: int,
    cfg: float,
    positive: Sequence[Any],
    negative: Sequence[Any],
    sampler: Any,
    sigmas: Tensor,
    latent: Latent,
    progress: Progress,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """`sample_with_guider` with classifier-free guidance; the seed is that of the sampler."""
    started = fitted(model, latent)
    last = _LastPrediction(progress)
    samples = current("comfy.sample.sample_custom", sample_custom)(
        model,
        noise.generate_noise(started),
        cfg,
        sampler,
        sigmas.clone(),
        positive,
        negative,
        started["samples"],
        noise_mask=started.get("noise_mask"),
        callback=last,
        disable_pbar=False,
        seed=seed,
    )
    return _finished(model, started, samples, last)


def _finished(
    patcher: Any, started: Latent, samples: Tensor, last: _LastPrediction
) -> tuple[dict[str, Any], dict[str, Any]]:
    output = {**started, "samples": each_part(samples, Tensor.cpu)}
    if last.denoised is None:
        return output, output
    if isinstance(last.denoised, JointLatent):  # as `sample` of guiders tells of it
        denoised: Any = last.denoised.each(Tensor.cpu)
    else:
        denoised = patcher.model.process_latent_out(last.denoised.cpu())
    return output, {**started, "samples": denoised}


def add_noise(model: Any, noise: Noise, sigmas: Tensor, latent: Latent) -> dict[str, Any]:
    """The LATENT with noise for a run along part of a schedule: as much as the run takes off.

    With a single sigma that is the amount; without any the latent comes back as it is.
    """
    if len(sigmas) == 0:
        return dict(latent)
    started = fitted(model, latent)
    samples = started["samples"]
    drawn = noise.generate_noise(started).to(samples)
    scale = (sigmas[0] - sigmas[-1]).abs() if len(sigmas) > 1 else sigmas[0]
    if samples.count_nonzero():
        samples = model.model.process_latent_in(samples)
    sampling = model.get_model_object("model_sampling")
    noisy = sampling.noise_scaling(scale.to(samples), drawn, samples)
    finished = model.model.process_latent_out(noisy)
    return {**started, "samples": torch.nan_to_num(finished, nan=0.0, posinf=0.0, neginf=0.0)}
