"""Hunyuan's models that refine what another model has made.

HunyuanImage 2.1's refiner is given a latent as diffusers' HunyuanImageRefinerPipeline gives it;
HunyuanVideo 1.5's second stage (Wu et al. 2025, arXiv:2511.18870) sees the smaller film as well as
the picture with which it begins.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from models.conditioning import Conditioning, with_options
from models.errors import InvalidInput
from models.vision import VisionOutput
from nodes.base import Declared, inputs
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent
from nodes.video_conditioning.base import Result, seen
from nodes.video_conditioning.frames import (
    beginning,
    encoded,
    fitted,
    frame_mask,
)

_SCALE = 16  # pixels of an element of HunyuanVideo 1.5's latents


def _noise(default: float) -> Declared:
    return ("FLOAT", {"default": default, "min": 0.0, "max": 1.0, "step": 0.01})


class _Refining(SchemaNode):
    RELATIVE_PYTHON_MODULE: ClassVar[str] = "comfy_extras.nodes_hunyuan"
    CATEGORY = "sd"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES: ClassVar[tuple[str, ...]] = ("positive", "negative", "latent")


class HunyuanRefinerLatent(_Refining):
    """Gives HunyuanImage 2.1's refiner what it is to refine."""

    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        latent=("LATENT", {}),
        noise_augmentation=_noise(0.1),
    )

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        latent: Latent,
        noise_augmentation: float,
    ) -> Result:
        """The latent as further channels, of which noise is to take a share; an empty latent."""
        samples: Tensor = latent["samples"]
        options = {"concat_latent_image": samples, "noise_augmentation": noise_augmentation}
        return (
            with_options(positive, options),
            with_options(negative, options),
            {"samples": torch.zeros_like(samples)},
        )


class HunyuanVideo15SuperResolution(_Refining):
    """Gives HunyuanVideo 1.5's second stage a film that was enlarged."""

    REQUIRED = inputs(
        positive=("CONDITIONING", {}),
        negative=("CONDITIONING", {}),
        latent=("LATENT", {}),
        noise_augmentation=_noise(0.7),
    )
    OPTIONAL = inputs(
        vae=("VAE", {}),
        start_image=("IMAGE", {}),
        clip_vision_output=("CLIP_VISION_OUTPUT", {}),
    )

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        latent: Latent,
        noise_augmentation: float,
        vae: Vae | None = None,
        start_image: Tensor | None = None,
        clip_vision_output: VisionOutput | None = None,
    ) -> Result:
        """`concat_latent_image` [B, 64, t, h, w]: what is given of the film, and the smaller film.

        The mask says which frames are given. Of the smaller film noise is to take a share.
        """
        samples: Tensor = latent["samples"]
        if samples.ndim != 5:
            raise InvalidInput("this node refines films, and its latent is one of pictures")
        shown: Latent = {"samples": torch.zeros_like(samples)}
        frames = 0
        if start_image is not None:
            height, width = (side * _SCALE for side in samples.shape[-2:])
            given = encoded(vae, fitted(start_image[:1], width, height))
            shown, frames = beginning(shown, given), given.shape[2]
        options: dict[str, Any] = {
            "concat_latent_image": torch.cat([shown["samples"], samples], dim=1),
            "concat_mask": frame_mask(samples, frames),
            "noise_augmentation": noise_augmentation,
        }
        options |= seen(clip_vision_output)
        return (
            with_options(positive, options),
            with_options(negative, options),
            {"samples": torch.zeros_like(samples)},
        )
