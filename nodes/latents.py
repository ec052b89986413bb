"""Nodes that make and change latents (LATENT: {"samples": [B, C, h, w], ...} in raw VAE units)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.math import resize
from nodes.base import MAX_RESOLUTION, Node, inputs

_PIXELS = 8  # per latent element along each side


class EmptyLatentImage(Node):
    """A latent of zeros: the start of text to image."""

    DISPLAY_NAME = "Empty Latent Image"
    CATEGORY = "latent"
    REQUIRED = inputs(
        width=("INT", {"default": 512, "min": 16, "max": MAX_RESOLUTION, "step": 8}),
        height=("INT", {"default": 512, "min": 16, "max": MAX_RESOLUTION, "step": 8}),
        batch_size=("INT", {"default": 1, "min": 1, "max": 4096}),
    )
    RETURN_TYPES = ("LATENT",)

    def run(self, width: int, height: int, batch_size: int = 1) -> tuple[dict[str, Any]]:
        """Sizes are in pixels."""
        return ({"samples": torch.zeros(batch_size, 4, height // _PIXELS, width // _PIXELS)},)


class SetLatentNoiseMask(Node):
    """Limits sampling to a mask."""

    DISPLAY_NAME = "Set Latent Noise Mask"
    CATEGORY = "latent/inpaint"
    REQUIRED = inputs(samples=("LATENT",), mask=("MASK",))
    RETURN_TYPES = ("LATENT",)

    def run(self, samples: Mapping[str, Any], mask: Tensor) -> tuple[dict[str, Any]]:
        """Where the mask is 1 the latent is painted anew."""
        return ({**samples, "noise_mask": mask.reshape(-1, 1, *mask.shape[-2:])},)


class LatentUpscale(Node):
    """Resizes a latent."""

    DISPLAY_NAME = "Upscale Latent"
    CATEGORY = "latent"
    REQUIRED = inputs(
        samples=("LATENT",),
        upscale_method=(["nearest-exact", "bilinear", "area", "bicubic", "bislerp"],),
        width=("INT", {"default": 512, "min": 0, "max": MAX_RESOLUTION, "step": 8}),
        height=("INT", {"default": 512, "min": 0, "max": MAX_RESOLUTION, "step": 8}),
        crop=(["disabled", "center"],),
    )
    RETURN_TYPES = ("LATENT",)

    def run(
        self, samples: Mapping[str, Any], upscale_method: str, width: int, height: int, crop: str
    ) -> tuple[dict[str, Any]]:
        """Sizes are in pixels; 0 keeps the ratio, two zeros the size."""
        if width == 0 and height == 0:
            return ({**samples},)
        latent = samples["samples"]
        smallest = 64
        if width == 0:
            height = max(smallest, height)
            width = max(smallest, round(latent.shape[-1] * height / latent.shape[-2]))
        elif height == 0:
            width = max(smallest, width)
            height = max(smallest, round(latent.shape[-2] * width / latent.shape[-1]))
        resized = resize(
            latent,
            max(smallest, width) // _PIXELS,
            max(smallest, height) // _PIXELS,
            upscale_method,
            crop=crop == "center",
        )
        return ({**samples, "samples": resized},)
