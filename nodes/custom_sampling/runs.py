"""Nodes that run a sampler along sigmas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.handle import ModelHandle
from models.protocol.custom import Noise, sample_with_guider, sample_with_prompts
from models.protocol.guider import CFGGuider
from models.protocol.k_samplers import Sampler
from models.protocol.noise_objects import NoNoise, RandomNoise
from models.sampling.conditioning import Conditioning
from nodes.base import inputs
from nodes.custom_sampling.base import CustomSamplingNode
from nodes.sampling import CFG, SEED, progress_callback

Latent = dict[str, Any]


class _RunNode(CustomSamplingNode):
    """A node that runs a sampler."""

    CATEGORY = "sampling/custom_sampling"
    RETURN_TYPES = ("LATENT", "LATENT")
    RETURN_NAMES = ("output", "denoised_output")


class SamplerCustom(_RunNode):
    """Denoises a latent with a sampler along sigmas, guided by two prompts."""

    REQUIRED = inputs(
        model=("MODEL",),
        add_noise=("BOOLEAN", {"default": True}),
        noise_seed=SEED,
        cfg=CFG,
        positive=("CONDITIONING",),
        negative=("CONDITIONING",),
        sampler=("SAMPLER",),
        sigmas=("SIGMAS",),
        latent_image=("LATENT",),
    )

    def run(
        self,
        model: ModelHandle,
        add_noise: bool,
        noise_seed: int,
        cfg: float,
        positive: Conditioning,
        negative: Conditioning,
        sampler: Sampler,
        sigmas: Tensor,
        latent_image: Mapping[str, Any],
    ) -> tuple[Latent, Latent]:
        """The latent at the last sigma, and the last prediction of the clean one."""
        return sample_with_prompts(
            model,
            RandomNoise(noise_seed) if add_noise else NoNoise(),
            seed=noise_seed,
            cfg=cfg,
            positive=positive,
            negative=negative,
            sampler=sampler,
            sigmas=sigmas,
            latent=latent_image,
            progress=progress_callback(self.context, model),
        )


class SamplerCustomAdvanced(_RunNode):
    """Denoises a latent with noise, guider, sampler and sigmas from other nodes."""

    REQUIRED = inputs(
        noise=("NOISE",),
        guider=("GUIDER",),
        sampler=("SAMPLER",),
        sigmas=("SIGMAS",),
        latent_image=("LATENT",),
    )

    def run(
        self,
        noise: Noise,
        guider: CFGGuider,
        sampler: Sampler,
        sigmas: Tensor,
        latent_image: Mapping[str, Any],
    ) -> tuple[Latent, Latent]:
        """The latent at the last sigma, and the last prediction of the clean one."""
        progress = progress_callback(self.context, guider.model_patcher)
        return sample_with_guider(guider, noise, sampler, sigmas, latent_image, progress)
