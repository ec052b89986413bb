"""Nodes of ComfyUI's `nodes_post_processing`, `nodes_morphology`, `nodes_canny`: image filters."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.tensors import blending
from nodes.tensors.batches import fit, repeat_to
from nodes.tensors.filters import (
    MORPHOLOGY,
    blur,
    canny,
    keeping_alpha,
    rgb_to_yuv,
    sharpen,
    yuv_to_rgb,
)
from nodes.tensors.pictures import in_color, with_channels
from nodes.tensors.quantize import DITHERS, quantize

_THRESHOLD = {"min": 0.01, "max": 0.99, "step": 0.01}


class _FilterNode(SchemaNode):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_post_processing"
    CATEGORY = "image/postprocessing"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE",)


class ImageBlend(_FilterNode):
    """Blends two pictures."""

    REQUIRED = inputs(
        image1=("IMAGE",),
        image2=("IMAGE",),
        blend_factor=("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}),
        blend_mode=(list(blending.MODES),),
    )

    def run(
        self, image1: Tensor, image2: Tensor, blend_factor: float, blend_mode: str
    ) -> tuple[Tensor]:
        """The factor is the share of the blend in the result, which has the sides of the first.

        So it has its number, unless that is one.
        """
        if len(image1) > 1:
            image2 = repeat_to(image2, len(image1))
        channels = max(image1.shape[-1], image2.shape[-1])
        lower = with_channels(image1, channels)
        fitted = fit(image2.to(image1).movedim(-1, 1), image1.movedim(-1, 1), "bicubic")
        upper = with_channels(fitted.movedim(1, -1), channels)
        return (blending.blend(lower, upper, blend_factor, blend_mode),)


class ImageBlur(_FilterNode):
    """Blurs pictures."""

    REQUIRED = inputs(
        image=("IMAGE",),
        blur_radius=("INT", {"default": 1, "min": 1, "max": 31, "step": 1}),
        sigma=("FLOAT", {"default": 1.0, "min": 0.1, "max": 10.0, "step": 0.1}),
    )

    def run(self, image: Tensor, blur_radius: int, sigma: float) -> tuple[Tensor]:
        """`sigma` counts radii; alpha stays as it is."""
        return (keeping_alpha(lambda colors: blur(colors, blur_radius, sigma), image),)


class ImageSharpen(_FilterNode):
    """Sharpens pictures."""

    REQUIRED = inputs(
        image=("IMAGE",),
        sharpen_radius=("INT", {"default": 1, "min": 1, "max": 31, "step": 1}),
        sigma=("FLOAT", {"default": 1.0, "min": 0.1, "max": 10.0, "step": 0.01}),
        alpha=("FLOAT", {"default": 1.0, "min": 0.0, "max": 5.0, "step": 0.01}),
    )

    def run(self, image: Tensor, sharpen_radius: int, sigma: float, alpha: float) -> tuple[Tensor]:
        """`sigma` counts radii, `alpha` is the strength."""
        sharpened = keeping_alpha(
            lambda colors: sharpen(colors, sharpen_radius, sigma, alpha), image
        )
        return (sharpened,)


class ImageQuantize(_FilterNode):
    """Reduces pictures to few colours."""

    REQUIRED = inputs(
        image=("IMAGE",),
        colors=("INT", {"default": 256, "min": 1, "max": 256, "step": 1}),
        dither=(DITHERS,),
    )

    def run(self, image: Tensor, colors: int, dither: str) -> tuple[Tensor]:
        """Every picture has a palette of its own."""
        picture = in_color(image)
        return (keeping_alpha(lambda opaque: quantize(opaque, colors, dither), picture),)


class Canny(_FilterNode):
    """Draws the edges in pictures."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_canny"
    CATEGORY = "image/preprocessors"
    REQUIRED = inputs(
        image=("IMAGE",),
        low_threshold=("FLOAT", {"default": 0.4, **_THRESHOLD}),
        high_threshold=("FLOAT", {"default": 0.8, **_THRESHOLD}),
    )

    def run(self, image: Tensor, low_threshold: float, high_threshold: float) -> tuple[Tensor]:
        """White on black."""
        return (canny(image, low_threshold, high_threshold)[..., None].expand(-1, -1, -1, 3),)


class _MorphologyNode(_FilterNode):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_morphology"


class Morphology(_MorphologyNode):
    """Grows, shrinks, opens or closes what is bright."""

    DISPLAY_NAME = "ImageMorphology"
    REQUIRED = inputs(
        image=("IMAGE",),
        operation=(list(MORPHOLOGY),),
        kernel_size=("INT", {"default": 3, "min": 3, "max": 999, "step": 1}),
    )

    def run(self, image: Tensor, operation: str, kernel_size: int) -> tuple[Tensor]:
        """By a square of that size, every channel for itself."""
        return (MORPHOLOGY[operation](image, kernel_size),)


class ImageRGBToYUV(_MorphologyNode):
    """Takes pictures apart into brightness and colour."""

    CATEGORY = "image/batch"
    REQUIRED = inputs(image=("IMAGE",))
    RETURN_TYPES = ("IMAGE", "IMAGE", "IMAGE")
    RETURN_NAMES = ("Y", "U", "V")

    def run(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Each as a grey picture; U and V are 0.5 where there is no colour."""
        colors = in_color(image)
        y, u, v = (x[..., None].expand_as(colors[..., :3]) for x in rgb_to_yuv(colors).unbind(-1))
        return y, u, v


class ImageYUVToRGB(_MorphologyNode):
    """Makes pictures of brightness and colour."""

    CATEGORY = "image/batch"
    REQUIRED = inputs(Y=("IMAGE",), U=("IMAGE",), V=("IMAGE",))

    def run(self, Y: Tensor, U: Tensor, V: Tensor) -> tuple[Tensor]:
        """Of colour pictures the mean counts; all get the sides and the number of the first."""
        grey = [x.mean(dim=-1)[:, None] for x in (Y, U, V)]
        fitted = [repeat_to(fit(x, grey[0]), len(Y))[:, 0] for x in grey]
        return (yuv_to_rgb(torch.stack(fitted, dim=-1)),)
