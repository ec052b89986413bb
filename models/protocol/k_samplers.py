"""Sampler objects: what goes through SAMPLER sockets."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from models.protocol import k_diffusion
from models.sampling.noise import prepare_noise
from models.sampling.samplers import SAMPLERS
from models.sampling.samplers import Sampler as Algorithm

K_Callback = Callable[[int, Tensor, Tensor, int], Any]


class Sampler:
    """Takes a latent from the first to the last sigma; packs derive their own."""

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: K_Callback | None,
        noise: Tensor,
        latent_image: Tensor | None = None,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """To be given by subclasses."""
        raise NotImplementedError(f"{type(self).__name__} does not define sample()")

    def max_denoise(self, model_wrap: Any, sigmas: Tensor) -> bool:
        """Whether the first sigma is the model's largest, within rounding, or beyond it."""
        largest = float(model_wrap.inner_model.model_sampling.sigma_max)
        first = float(sigmas[0])
        return first > largest or math.isclose(first, largest, rel_tol=1e-5)


class KSamplerX0Inpaint:
    """The model as samplers call it: known parts of a masked latent go in and come back."""

    def __init__(self, model: Any, sigmas: Tensor) -> None:
        self.inner_model = model
        self.sigmas = sigmas
        self.latent_image: Tensor | None = None
        self.noise: Tensor | None = None

    def __call__(
        self,
        x: Tensor,
        sigma: Tensor,
        denoise_mask: Tensor | None = None,
        model_options: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """The prediction of the clean latent."""
        options = model_options if model_options is not None else {}
        if denoise_mask is not None:
            function = options.get("denoise_mask_function")
            if function is not None:
                extra = {"model": self.inner_model, "sigmas": self.sigmas}
                denoise_mask = function(sigma, denoise_mask, extra_options=extra)
            model = self.inner_model.inner_model
            known = model.scale_latent_inpaint(
                x=x, sigma=sigma, noise=self.noise, latent_image=self.latent_image
            )
            x = torch.lerp(known, x, denoise_mask)
        denoised: Tensor = self.inner_model(x, sigma, model_options=options, seed=seed)
        if denoise_mask is not None and self.latent_image is not None:
            denoised = torch.lerp(self.latent_image, denoised, denoise_mask)
        return denoised


class KSAMPLER(Sampler):
    """A sampler made of a k-diffusion function."""

    def __init__(
        self,
        sampler_function: Callable[..., Tensor],
        extra_options: dict[str, Any] | None = None,
        inpaint_options: dict[str, Any] | None = None,
    ) -> None:
        self.sampler_function = sampler_function
        self.extra_options = dict(extra_options or {})
        self.inpaint_options = dict(inpaint_options or {})

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: K_Callback | None,
        noise: Tensor,
        latent_image: Tensor | None = None,
        denoise_mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """A run in model space; model_wrap is a guider."""
        sampling = model_wrap.inner_model.model_sampling
        model = KSamplerX0Inpaint(model_wrap, sigmas)
        model.latent_image = latent_image
        model.noise = noise
        if self.inpaint_options.get("random"):
            seed = (extra_args.get("seed") or 0) + 1
            model.noise = prepare_noise(noise.cpu(), seed).to(noise.device)
        x = sampling.noise_scaling(
            sigmas[0], noise, latent_image, self.max_denoise(model_wrap, sigmas)
        )
        total = len(sigmas) - 1

        def report(state: dict[str, Any]) -> None:
            if callback is not None:
                callback(state["i"], state["denoised"], state["x"], total)

        samples = self.sampler_function(
            model,
            x,
            sigmas,
            extra_args=extra_args | {"denoise_mask": denoise_mask},
            callback=report,
            disable=disable_pbar,
            **self.extra_options,
        )
        result: Tensor = sampling.inverse_noise_scaling(sigmas[-1], samples)
        return result


def configured(sampler: Algorithm, options: dict[str, Any] | None = None) -> KSAMPLER:
    """A sampler of ours that goes by no name."""
    return KSAMPLER(partial(k_diffusion.run, sampler), options)


def ksampler(
    sampler_name: str,
    extra_options: dict[str, Any] | None = None,
    inpaint_options: dict[str, Any] | None = None,
) -> KSAMPLER:
    """The sampler of a name: one of ours, or a function that a pack added to k-diffusion."""
    if sampler_name in ("dpm_fast", "dpm_adaptive"):
        function = partial(k_diffusion.run, SAMPLERS[sampler_name])
    else:
        function = getattr(k_diffusion, f"sample_{sampler_name}")
    return KSAMPLER(function, extra_options, inpaint_options)


def sampler_object(name: str) -> KSAMPLER:
    """The sampler of a name, with all that belongs to the name."""
    if name in SAMPLERS and SAMPLERS[name].draws_mask_noise:
        return ksampler(name, inpaint_options={"random": True})
    return ksampler(name)
