"""Nodes of ComfyUI's `nodes_images`: pictures cut, turned, joined and scaled."""

from __future__ import annotations

import math
from typing import ClassVar, Final

from torch import Tensor

from nodes.base import MAX_RESOLUTION, inputs
from nodes.schema import SchemaNode
from nodes.tensors.orientation import FLIPS, ROTATIONS, flipped, rotated
from nodes.tensors.pictures import METHODS, add_noise, scale_and_pad, scaled, stitch

_COLORS: Final = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}
_SIDE = {"default": 512, "min": 1, "max": MAX_RESOLUTION, "step": 1}
_PLACE = {"default": 0, "min": 0, "max": MAX_RESOLUTION, "step": 1}


class _ImageNode(SchemaNode):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_images"
    CATEGORY = "image/transform"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE",)


class ImageCrop(_ImageNode):
    """Cuts a rectangle out of pictures."""

    DISPLAY_NAME = "Image Crop"
    REQUIRED = inputs(
        image=("IMAGE",),
        width=("INT", _SIDE),
        height=("INT", _SIDE),
        x=("INT", _PLACE),
        y=("INT", _PLACE),
    )

    def run(self, image: Tensor, width: int, height: int, x: int, y: int) -> tuple[Tensor]:
        """What lies beyond the picture is left out; at least one pixel is taken."""
        x, y = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
        return (image[:, y : y + height, x : x + width],)


class ImageFlip(_ImageNode):
    """Mirrors pictures."""

    REQUIRED = inputs(image=("IMAGE",), flip_method=(FLIPS,))

    def run(self, image: Tensor, flip_method: str) -> tuple[Tensor]:
        """Upside down or left to right."""
        return (flipped(image, flip_method, axes=(1, 2)),)


class ImageRotate(_ImageNode):
    """Turns pictures clockwise."""

    REQUIRED = inputs(image=("IMAGE",), rotation=(ROTATIONS,))

    def run(self, image: Tensor, rotation: str) -> tuple[Tensor]:
        """By quarters."""
        return (rotated(image, rotation, axes=(1, 2)),)


class ImageStitch(_ImageNode):
    """Puts one picture beside another."""

    DISPLAY_NAME = "Image Stitch"
    REQUIRED = inputs(
        image1=("IMAGE",),
        direction=(["right", "down", "left", "up"], {"default": "right"}),
        match_image_size=("BOOLEAN", {"default": True}),
        spacing_width=("INT", {"default": 0, "min": 0, "max": 1024, "step": 2}),
        spacing_color=(list(_COLORS), {"default": "white"}),
    )
    OPTIONAL = inputs(image2=("IMAGE",))

    def run(
        self,
        image1: Tensor,
        direction: str,
        match_image_size: bool,
        spacing_width: int,
        spacing_color: str,
        image2: Tensor | None = None,
    ) -> tuple[Tensor]:
        """The direction is where the second goes; the space between them is of an even width."""
        if image2 is None:
            return (image1,)
        stitched = stitch(
            image1,
            image2,
            direction,
            match_size=match_image_size,
            spacing=spacing_width + spacing_width % 2,
            color=_COLORS[spacing_color],
        )
        return (stitched,)


class ResizeAndPadImage(_ImageNode):
    """Fits whole pictures into a size."""

    REQUIRED = inputs(
        image=("IMAGE",),
        target_width=("INT", _SIDE),
        target_height=("INT", _SIDE),
        padding_color=(["white", "black"],),
        interpolation=(["area", "bicubic", "nearest-exact", "bilinear", "lanczos"],),
    )

    def run(
        self,
        image: Tensor,
        target_width: int,
        target_height: int,
        padding_color: str,
        interpolation: str,
    ) -> tuple[Tensor]:
        """What is left over has the color."""
        value = 1.0 if padding_color == "white" else 0.0
        return (scale_and_pad(image, target_width, target_height, value, interpolation),)


class ImageScaleToMaxDimension(_ImageNode):
    """Scales pictures so that their longer side gets a length."""

    CATEGORY = "image/upscaling"
    REQUIRED = inputs(
        image=("IMAGE",),
        upscale_method=(["area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic"],),
        largest_size=("INT", {"default": 512, "min": 0, "max": MAX_RESOLUTION, "step": 1}),
    )

    def run(self, image: Tensor, upscale_method: str, largest_size: int) -> tuple[Tensor]:
        """The other side keeps the ratio."""
        height, width = image.shape[1:3]
        longest = max(width, height)
        sides = (round(width / longest * largest_size), round(height / longest * largest_size))
        return (scaled(image, *sides, upscale_method),)


class ImageAddNoise(_ImageNode):
    """Adds gaussian noise."""

    CATEGORY = "image"
    REQUIRED = inputs(
        image=("IMAGE",),
        seed=(
            "INT",
            {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True},
        ),
        strength=("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}),
    )

    def run(self, image: Tensor, seed: int, strength: float) -> tuple[Tensor]:
        """The same seed gives the same noise."""
        return (add_noise(image, seed, strength),)


class RepeatImageBatch(_ImageNode):
    """Repeats a batch of pictures."""

    CATEGORY = "image/batch"
    REQUIRED = inputs(image=("IMAGE",), amount=("INT", {"default": 1, "min": 1, "max": 4096}))

    def run(self, image: Tensor, amount: int) -> tuple[Tensor]:
        """The whole batch, one after the other."""
        return (image.repeat(amount, 1, 1, 1),)


class ImageFromBatch(_ImageNode):
    """Takes neighbours out of a batch of pictures."""

    CATEGORY = "image/batch"
    REQUIRED = inputs(
        image=("IMAGE",),
        batch_index=("INT", {"default": 0, "min": 0, "max": 4095}),
        length=("INT", {"default": 1, "min": 1, "max": 4096}),
    )

    def run(self, image: Tensor, batch_index: int, length: int) -> tuple[Tensor]:
        """Beyond the end there is the last one."""
        start = min(image.shape[0] - 1, batch_index)
        return (image[start : start + length].clone(),)


class GetImageSize(_ImageNode):
    """How large pictures are, and how many."""

    DISPLAY_NAME = "Get Image Size"
    CATEGORY = "image"
    REQUIRED = inputs(image=("IMAGE",))
    HIDDEN = (("unique_id", "UNIQUE_ID"),)
    RETURN_TYPES = ("INT", "INT", "INT")
    RETURN_NAMES = ("width", "height", "batch_size")

    def run(self, image: Tensor, unique_id: str | None = None) -> tuple[int, int, int]:
        """Also shown on the node, if it is one of a graph."""
        count, height, width = image.shape[:3]
        if unique_id is not None:
            self.context.report_text(f"width: {width}, height: {height}\n batch size: {count}")
        return width, height, count


class ImageScaleToTotalPixels(SchemaNode):
    """Scales pictures to a number of pixels."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_post_processing"
    CATEGORY = "image/upscaling"
    REQUIRED = inputs(
        image=("IMAGE",),
        upscale_method=(METHODS,),
        megapixels=("FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01}),
        resolution_steps=("INT", {"default": 1, "min": 1, "max": 256}),
    )
    RETURN_TYPES = ("IMAGE",)

    def run(
        self, image: Tensor, upscale_method: str, megapixels: float, resolution_steps: int = 1
    ) -> tuple[Tensor]:
        """A megapixel is 1024 x 1024; sides are multiples of the steps."""
        height, width = image.shape[1:3]
        scale = math.sqrt(megapixels * 1024 * 1024 / (width * height)) / resolution_steps
        width, height = (round(side * scale) * resolution_steps for side in (width, height))
        return (scaled(image, width, height, upscale_method),)


# Width and height that FLUX.1 Kontext was trained on: `PREFERED_KONTEXT_RESOLUTIONS` in the code
# that Black Forest Labs published with it (Apache-2.0).
_KONTEXT_SIZES: Final = (
    (672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184),
    (944, 1104), (1024, 1024), (1104, 944), (1184, 880), (1248, 832), (1328, 800), (1392, 752),
    (1456, 720), (1504, 688), (1568, 672),
)  # fmt: skip


class FluxKontextImageScale(SchemaNode):
    """Scales pictures to a size that FLUX.1 Kontext knows."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_flux"
    CATEGORY = "advanced/conditioning/flux"
    REQUIRED = inputs(image=("IMAGE",))
    RETURN_TYPES = ("IMAGE",)

    def run(self, image: Tensor) -> tuple[Tensor]:
        """The one with the nearest ratio of sides; what stands over is cut off."""
        ratio = image.shape[2] / image.shape[1]
        sides = min(_KONTEXT_SIZES, key=lambda size: abs(ratio - size[0] / size[1]))
        return (scaled(image, *sides, "lanczos", crop=True),)
