"""DDIM on latents whose variance stays the same, which start as the noise itself."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from torch import Tensor

from models.errors import InvalidInput
from models.protocol.k_samplers import K_Callback, KSamplerX0Inpaint, Sampler


class VarianceKeepingDDIM(Sampler):
    """DDIM without noise of its own (Song et al. 2021, eta = 0), for models of VP diffusion.

    With s = sigma its latent is (latent + s noise) / sqrt(1 + s^2): at a first sigma that is the
    model's largest, or beyond it, the noise as it was given.
    """

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
        """A run in model space; model_wrap is a guider. Raises InvalidInput for flow models."""
        if model_wrap.inner_model.model_sampling.prediction().is_flow:
            raise InvalidInput("this sampler is for diffusion models: flow models start otherwise")
        model = KSamplerX0Inpaint(model_wrap, sigmas)
        model.latent_image, model.noise = latent_image, noise
        arguments = extra_args | {"denoise_mask": denoise_mask}
        levels = [float(sigma) for sigma in sigmas]
        x: Tensor = noise
        if latent_image is not None and not self.max_denoise(model_wrap, sigmas):
            x = (latent_image + levels[0] * noise) / math.sqrt(1 + levels[0] ** 2)
        for step, (sigma, sigma_next) in enumerate(pairwise(levels)):
            noisy = x * math.sqrt(1 + sigma**2)
            denoised = model(noisy, noisy.new_full((len(noisy),), sigma), **arguments)
            if callback is not None:
                callback(step, denoised, noisy, len(levels) - 1)
            if sigma != sigma_next:
                direction = (noisy - denoised) / sigma
                x = (denoised + sigma_next * direction) / math.sqrt(1 + sigma_next**2)
        return x * math.sqrt(1 + levels[-1] ** 2)
