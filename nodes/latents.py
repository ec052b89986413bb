"""Nodes that make and change latents (LATENT: {"samples": [B, C, h, w], ...} in raw VAE units)."""

from __future__ import annotations

import torch
from torch import Tensor

from models.math import resize
from nodes.base import MAX_RESOLUTION, Node, inputs
from nodes.tensors.latents import (
    Latent,
    blend,
    composite,
    crop,
    of_batch,
    repeated,
    with_samples,
)
from nodes.tensors.orientation import FLIPS, ROTATIONS, flipped, rotated

PIXELS = 8  # per latent element along each side
METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]
_PLACE = {"default": 0, "min": 0, "max": MAX_RESOLUTION, "step": PIXELS}


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

    def run(self, width: int, height: int, batch_size: int = 1) -> tuple[Latent]:
        """Sizes are in pixels."""
        return ({"samples": torch.zeros(batch_size, 4, height // PIXELS, width // PIXELS)},)


class LatentUpscale(Node):
    """Resizes a latent."""

    DISPLAY_NAME = "Upscale Latent"
    CATEGORY = "latent"
    REQUIRED = inputs(
        samples=("LATENT",),
        upscale_method=(METHODS,),
        width=("INT", {"default": 512, "min": 0, "max": MAX_RESOLUTION, "step": 8}),
        height=("INT", {"default": 512, "min": 0, "max": MAX_RESOLUTION, "step": 8}),
        crop=(["disabled", "center"],),
    )
    RETURN_TYPES = ("LATENT",)

    def run(
        self, samples: Latent, upscale_method: str, width: int, height: int, crop: str
    ) -> tuple[Latent]:
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
            max(smallest, width) // PIXELS,
            max(smallest, height) // PIXELS,
            upscale_method,
            crop=crop == "center",
        )
        return (with_samples(samples, resized),)


class LatentUpscaleBy(Node):
    """Resizes a latent by a factor."""

    DISPLAY_NAME = "Upscale Latent By"
    CATEGORY = "latent"
    REQUIRED = inputs(
        samples=("LATENT",),
        upscale_method=(METHODS,),
        scale_by=("FLOAT", {"default": 1.5, "min": 0.01, "max": 8.0, "step": 0.01}),
    )
    RETURN_TYPES = ("LATENT",)

    def run(self, samples: Latent, upscale_method: str, scale_by: float) -> tuple[Latent]:
        """Sides are rounded; no side gets shorter than 1."""
        latent = samples["samples"]
        width, height = (max(1, round(latent.shape[axis] * scale_by)) for axis in (-1, -2))
        return (with_samples(samples, resize(latent, width, height, upscale_method)),)


class SetLatentNoiseMask(Node):
    """Limits sampling to a mask."""

    DISPLAY_NAME = "Set Latent Noise Mask"
    CATEGORY = "latent/inpaint"
    REQUIRED = inputs(samples=("LATENT",), mask=("MASK",))
    RETURN_TYPES = ("LATENT",)

    def run(self, samples: Latent, mask: Tensor) -> tuple[Latent]:
        """Where the mask is 1 the latent is painted anew."""
        return ({**samples, "noise_mask": mask.reshape(-1, 1, *mask.shape[-2:])},)


class LatentFromBatch(Node):
    """Takes neighbours out of a batch of latents; they keep the noise of their places."""

    DISPLAY_NAME = "Latent From Batch"
    CATEGORY = "latent/batch"
    REQUIRED = inputs(
        samples=("LATENT",),
        batch_index=("INT", {"default": 0, "min": 0, "max": 63}),
        length=("INT", {"default": 1, "min": 1, "max": 64}),
    )
    RETURN_TYPES = ("LATENT",)

    def run(self, samples: Latent, batch_index: int, length: int) -> tuple[Latent]:
        """Beyond the end there is the last one."""
        return (of_batch(samples, batch_index, length),)


class RepeatLatentBatch(Node):
    """Repeats a batch of latents; the copies get noise of their own."""

    DISPLAY_NAME = "Repeat Latent Batch"
    CATEGORY = "latent/batch"
    REQUIRED = inputs(samples=("LATENT",), amount=("INT", {"default": 1, "min": 1, "max": 64}))
    RETURN_TYPES = ("LATENT",)

    def run(self, samples: Latent, amount: int) -> tuple[Latent]:
        """The whole batch, one after the other."""
        return (repeated(samples, amount),)


class LatentRotate(Node):
    """Turns latents clockwise."""

    DISPLAY_NAME = "Rotate Latent"
    CATEGORY = "latent/transform"
    REQUIRED = inputs(samples=("LATENT",), rotation=(ROTATIONS,))
    RETURN_TYPES = ("LATENT",)

    def run(self, samples: Latent, rotation: str) -> tuple[Latent]:
        """By quarters."""
        return (with_samples(samples, rotated(samples["samples"], rotation, axes=(-2, -1))),)


class LatentFlip(Node):
    """Mirrors latents."""

    DISPLAY_NAME = "Flip Latent"
    CATEGORY = "latent/transform"
    REQUIRED = inputs(samples=("LATENT",), flip_method=(FLIPS,))
    RETURN_TYPES = ("LATENT",)

    def run(self, samples: Latent, flip_method: str) -> tuple[Latent]:
        """Upside down or left to right."""
        return (with_samples(samples, flipped(samples["samples"], flip_method, axes=(-2, -1))),)


class LatentCrop(Node):
    """Cuts a rectangle out of latents."""

    DISPLAY_NAME = "Crop Latent"
    CATEGORY = "latent/transform"
    REQUIRED = inputs(
        samples=("LATENT",),
        width=("INT", {"default": 512, "min": 64, "max": MAX_RESOLUTION, "step": 8}),
        height=("INT", {"default": 512, "min": 64, "max": MAX_RESOLUTION, "step": 8}),
        x=("INT", _PLACE),
        y=("INT", _PLACE),
    )
    RETURN_TYPES = ("LATENT",)

    def run(self, samples: Latent, width: int, height: int, x: int, y: int) -> tuple[Latent]:
        """All in pixels; what lies beyond the latent is left out."""
        cut = crop(samples["samples"], width // PIXELS, height // PIXELS, x // PIXELS, y // PIXELS)
        return (with_samples(samples, cut),)


class LatentComposite(Node):
    """Lays one latent over another."""

    DISPLAY_NAME = "Latent Composite"
    CATEGORY = "latent"
    REQUIRED = inputs(
        samples_to=("LATENT",),
        samples_from=("LATENT",),
        x=("INT", _PLACE),
        y=("INT", _PLACE),
        feather=("INT", _PLACE),
    )
    RETURN_TYPES = ("LATENT",)

    def run(
        self, samples_to: Latent, samples_from: Latent, x: int, y: int, feather: int
    ) -> tuple[Latent]:
        """All in pixels; edges inside of the lower one fade over `feather`."""
        laid = composite(
            samples_to["samples"],
            samples_from["samples"],
            x // PIXELS,
            y // PIXELS,
            feather // PIXELS,
        )
        return (with_samples(samples_to, laid),)


class LatentBlend(Node):
    """Mixes two latents."""

    DISPLAY_NAME = "Latent Blend"
    CATEGORY = "_for_testing"
    REQUIRED = inputs(
        samples1=("LATENT",),
        samples2=("LATENT",),
        blend_factor=("FLOAT", {"default": 0.5, "min": 0, "max": 1, "step": 0.01}),
    )
    RETURN_TYPES = ("LATENT",)

    def run(self, samples1: Latent, samples2: Latent, blend_factor: float) -> tuple[Latent]:
        """The factor is the share of the first."""
        mixed = blend(samples1["samples"], samples2["samples"], blend_factor)
        return (with_samples(samples1, mixed),)
