"""The KSampler nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

import nodes
from models.handle import ModelHandle
from models.joint_latent import film_of
from models.protocol.sampling import SAMPLER_NAMES, SCHEDULER_NAMES, sample_latent
from models.sampling.calls import before_each_call
from models.sampling.conditioning import Conditioning
from models.sampling.run import Progress
from nodes.base import Node, inputs
from nodes.context import NodeContext, check_interrupted
from nodes.previews import drawer

SEED = ("INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True})
_STEPS = ("INT", {"default": 20, "min": 1, "max": 10000})
CFG = ("FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1, "round": 0.01})

before_each_call.append(check_interrupted)


def progress_callback(context: NodeContext, model: ModelHandle) -> Progress:
    """Reports every step, and stops the run when it is interrupted."""

    draw = drawer(context, model)

    def callback(step: int, total: int, denoised: Tensor, x: Tensor) -> None:
        picture = None if draw is None else partial(draw, film_of(denoised))
        context.report(step + 1, total, picture)

    return callback


def replaced_common_ksampler() -> Callable[..., tuple[dict[str, Any]]] | None:
    """What a pack has put in the place of `nodes.common_ksampler`, which the nodes then call."""
    theirs: Callable[..., tuple[dict[str, Any]]] | None = vars(nodes).get("common_ksampler")
    return theirs


class KSampler(Node):
    """Denoises a latent."""

    CATEGORY = "sampling"
    REQUIRED = inputs(
        model=("MODEL", {}),
        seed=SEED,
        steps=_STEPS,
        cfg=CFG,
        sampler_name=(SAMPLER_NAMES, {}),
        scheduler=(SCHEDULER_NAMES, {}),
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        latent_image=("LATENT", {}),
        denoise=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
    )
    RETURN_TYPES = ("LATENT",)

    def run(
        self,
        model: ModelHandle,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Mapping[str, Any],
        denoise: float = 1.0,
    ) -> tuple[dict[str, Any]]:
        """`denoise` below 1 keeps that much of the latent: image to image."""
        theirs = replaced_common_ksampler()
        if theirs is not None:
            return theirs(
                model, seed, steps, cfg, sampler_name, scheduler, positive, negative, latent_image,
                denoise=denoise,
            )  # fmt: skip
        latent = sample_latent(
            model,
            latent_image,
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            positive=positive,
            negative=negative,
            denoise=denoise,
            callback=progress_callback(self.context, model),
        )
        return (latent,)


class KSamplerAdvanced(Node):
    """Denoises a latent between two steps of a schedule."""

    DISPLAY_NAME = "KSampler (Advanced)"
    CATEGORY = "sampling"
    REQUIRED = inputs(
        model=("MODEL",),
        add_noise=(["enable", "disable"],),
        noise_seed=SEED,
        steps=_STEPS,
        cfg=CFG,
        sampler_name=(SAMPLER_NAMES,),
        scheduler=(SCHEDULER_NAMES,),
        positive=("CONDITIONING",),
        negative=("CONDITIONING",),
        latent_image=("LATENT",),
        start_at_step=("INT", {"default": 0, "min": 0, "max": 10000}),
        end_at_step=("INT", {"default": 10000, "min": 0, "max": 10000}),
        return_with_leftover_noise=(["disable", "enable"],),
    )
    RETURN_TYPES = ("LATENT",)

    def run(
        self,
        model: ModelHandle,
        add_noise: str,
        noise_seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        positive: Conditioning,
        negative: Conditioning,
        latent_image: Mapping[str, Any],
        start_at_step: int,
        end_at_step: int,
        return_with_leftover_noise: str,
    ) -> tuple[dict[str, Any]]:
        """Without leftover noise the last of these steps removes all that is left."""
        theirs = replaced_common_ksampler()
        if theirs is not None:
            return theirs(
                model, noise_seed, steps, cfg, sampler_name, scheduler, positive, negative,
                latent_image, disable_noise=add_noise == "disable", start_step=start_at_step,
                last_step=end_at_step, force_full_denoise=return_with_leftover_noise != "enable",
            )  # fmt: skip
        latent = sample_latent(
            model,
            latent_image,
            seed=noise_seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            positive=positive,
            negative=negative,
            start_step=start_at_step,
            last_step=end_at_step,
            force_full_denoise=return_with_leftover_noise != "enable",
            disable_noise=add_noise == "disable",
            callback=progress_callback(self.context, model),
        )
        return (latent,)
