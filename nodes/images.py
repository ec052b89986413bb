"""Nodes that make and change images (IMAGE: float32 [B, H, W, C] in 0..1)."""

from __future__ import annotations

import torch
from torch import Tensor

from models.math import resize
from nodes.base import MAX_RESOLUTION, Node, inputs


class EmptyImage(Node):
    """A batch of images of one colour."""

    CATEGORY = "image"
    REQUIRED = inputs(
        width=("INT", {"default": 512, "min": 1, "max": MAX_RESOLUTION, "step": 1}),
        height=("INT", {"default": 512, "min": 1, "max": MAX_RESOLUTION, "step": 1}),
        batch_size=("INT", {"default": 1, "min": 1, "max": 4096}),
        color=("INT", {"default": 0, "min": 0, "max": 0xFFFFFF, "step": 1, "display": "color"}),
    )
    RETURN_TYPES = ("IMAGE",)

    def run(self, width: int, height: int, batch_size: int = 1, color: int = 0) -> tuple[Tensor]:
        """`color` is 0xRRGGBB."""
        rgb = [(color >> shift & 0xFF) / 255 for shift in (16, 8, 0)]
        return (torch.tensor(rgb).expand(batch_size, height, width, 3).contiguous(),)


class ImageInvert(Node):
    """The negative of an image."""

    DISPLAY_NAME = "Invert Image"
    CATEGORY = "image"
    REQUIRED = inputs(image=("IMAGE",))
    RETURN_TYPES = ("IMAGE",)

    def run(self, image: Tensor) -> tuple[Tensor]:
        """One minus the image; nothing is clipped."""
        return (1.0 - image,)


class ImageScale(Node):
    """Resizes images."""

    DISPLAY_NAME = "Upscale Image"
    CATEGORY = "image/upscaling"
    REQUIRED = inputs(
        image=("IMAGE",),
        upscale_method=(["nearest-exact", "bilinear", "area", "bicubic", "lanczos"],),
        width=("INT", {"default": 512, "min": 0, "max": MAX_RESOLUTION, "step": 1}),
        height=("INT", {"default": 512, "min": 0, "max": MAX_RESOLUTION, "step": 1}),
        crop=(["disabled", "center"],),
    )
    RETURN_TYPES = ("IMAGE",)

    def run(
        self, image: Tensor, upscale_method: str, width: int, height: int, crop: str
    ) -> tuple[Tensor]:
        """0 keeps the ratio, two zeros the size."""
        if width == 0 and height == 0:
            return (image,)
        samples = image.movedim(-1, 1)  # b c h w
        if width == 0:
            width = max(1, round(samples.shape[3] * height / samples.shape[2]))
        elif height == 0:
            height = max(1, round(samples.shape[2] * width / samples.shape[3]))
        resized = resize(samples, width, height, upscale_method, crop=crop == "center")
        return (resized.movedim(1, -1),)
