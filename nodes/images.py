"""Core nodes that make and change images (IMAGE: float32 [B, H, W, C] in 0..1)."""

from __future__ import annotations

import torch
from torch import Tensor

from nodes.base import MAX_RESOLUTION, Node, inputs
from nodes.tensors.pictures import METHODS, batch, pad_for_outpaint, scaled

_BORDER = {"default": 0, "min": 0, "max": MAX_RESOLUTION, "step": 8}


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
        upscale_method=(METHODS,),
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
        if width == 0:
            width = round(image.shape[2] * height / image.shape[1])
        elif height == 0:
            height = round(image.shape[1] * width / image.shape[2])
        return (scaled(image, width, height, upscale_method, crop=crop == "center"),)


class ImageScaleBy(Node):
    """Resizes images by a factor."""

    DISPLAY_NAME = "Upscale Image By"
    CATEGORY = "image/upscaling"
    REQUIRED = inputs(
        image=("IMAGE",),
        upscale_method=(METHODS,),
        scale_by=("FLOAT", {"default": 1.0, "min": 0.01, "max": 8.0, "step": 0.01}),
    )
    RETURN_TYPES = ("IMAGE",)

    def run(self, image: Tensor, upscale_method: str, scale_by: float) -> tuple[Tensor]:
        """Sides are rounded."""
        width, height = round(image.shape[2] * scale_by), round(image.shape[1] * scale_by)
        return (scaled(image, width, height, upscale_method),)


class ImageBatch(Node):
    """Two batches of images as one."""

    DISPLAY_NAME = "Batch Images"
    CATEGORY = "image"
    DEPRECATED = True
    REQUIRED = inputs(image1=("IMAGE",), image2=("IMAGE",))
    RETURN_TYPES = ("IMAGE",)

    def run(self, image1: Tensor, image2: Tensor) -> tuple[Tensor]:
        """The second gets the sides of the first."""
        return (batch((image1, image2)),)


class ImagePadForOutpaint(Node):
    """Adds borders that are to be painted."""

    DISPLAY_NAME = "Pad Image for Outpainting"
    CATEGORY = "image"
    REQUIRED = inputs(
        image=("IMAGE",),
        left=("INT", _BORDER),
        top=("INT", _BORDER),
        right=("INT", _BORDER),
        bottom=("INT", _BORDER),
        feathering=("INT", {"default": 40, "min": 0, "max": MAX_RESOLUTION, "step": 1}),
    )
    RETURN_TYPES = ("IMAGE", "MASK")

    def run(
        self, image: Tensor, left: int, top: int, right: int, bottom: int, feathering: int
    ) -> tuple[Tensor, Tensor]:
        """The mask is 1 on the borders and fades into the picture over `feathering` pixels."""
        return pad_for_outpaint(image, left, top, right, bottom, feathering)
