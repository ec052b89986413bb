"""Nodes of ComfyUI's `nodes_mask`: masks made, changed and used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from nodes.base import MAX_RESOLUTION, inputs
from nodes.saving import PreviewImage
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent, check_alike, check_sides, with_samples
from nodes.tensors.masks import (
    OPERATIONS,
    as_batch,
    combine,
    feather,
    grow,
    is_color,
    lay_over,
)
from nodes.tensors.pictures import with_channels

_PIXELS = 8  # per latent element along each side
_CHANNELS = ["red", "green", "blue", "alpha"]
_SIDE = {"default": 512, "min": 1, "max": MAX_RESOLUTION, "step": 1}
_PLACE = {"default": 0, "min": 0, "max": MAX_RESOLUTION, "step": 1}


class _MaskNode(SchemaNode):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_mask"
    CATEGORY = "mask"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("MASK",)


class SolidMask(_MaskNode):
    """A mask of one value."""

    REQUIRED = inputs(
        value=("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.01}),
        width=("INT", _SIDE),
        height=("INT", _SIDE),
    )

    def run(self, value: float, width: int, height: int) -> tuple[Tensor]:
        """[1, H, W]."""
        return (torch.full((1, height, width), value),)


class InvertMask(_MaskNode):
    """What was hidden shows, and the other way round."""

    REQUIRED = inputs(mask=("MASK",))

    def run(self, mask: Tensor) -> tuple[Tensor]:
        """One minus the mask."""
        return (1.0 - mask,)


class CropMask(_MaskNode):
    """Cuts a rectangle out of masks."""

    REQUIRED = inputs(
        mask=("MASK",),
        x=("INT", _PLACE),
        y=("INT", _PLACE),
        width=("INT", _SIDE),
        height=("INT", _SIDE),
    )

    def run(self, mask: Tensor, x: int, y: int, width: int, height: int) -> tuple[Tensor]:
        """What lies beyond the mask is left out."""
        return (as_batch(mask)[:, y : y + height, x : x + width],)


class GrowMask(_MaskNode):
    """Grows or shrinks what a mask shows."""

    DISPLAY_NAME = "Grow Mask"
    REQUIRED = inputs(
        mask=("MASK",),
        expand=("INT", {"default": 0, "min": -MAX_RESOLUTION, "max": MAX_RESOLUTION, "step": 1}),
        tapered_corners=("BOOLEAN", {"default": True}),
    )

    def run(self, mask: Tensor, expand: int, tapered_corners: bool) -> tuple[Tensor]:
        """By so many pixels; below 0 it shrinks."""
        return (grow(mask, expand, tapered=tapered_corners),)


class FeatherMask(_MaskNode):
    """Fades masks towards their edges."""

    REQUIRED = inputs(
        mask=("MASK",),
        left=("INT", _PLACE),
        top=("INT", _PLACE),
        right=("INT", _PLACE),
        bottom=("INT", _PLACE),
    )

    def run(self, mask: Tensor, left: int, top: int, right: int, bottom: int) -> tuple[Tensor]:
        """Over so many pixels on each side."""
        return (feather(mask, left, top, right, bottom),)


class ThresholdMask(_MaskNode):
    """Makes masks of nothing but 0 and 1."""

    REQUIRED = inputs(
        mask=("MASK",),
        value=("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.01}),
    )

    def run(self, mask: Tensor, value: float) -> tuple[Tensor]:
        """1 above the value."""
        return ((mask > value).float(),)


class MaskComposite(_MaskNode):
    """Changes one mask by another."""

    REQUIRED = inputs(
        destination=("MASK",),
        source=("MASK",),
        x=("INT", _PLACE),
        y=("INT", _PLACE),
        operation=(list(OPERATIONS),),
    )

    def run(
        self, destination: Tensor, source: Tensor, x: int, y: int, operation: str
    ) -> tuple[Tensor]:
        """Where the source lies on the destination; logical operations round both."""
        return (combine(destination, source, x, y, operation),)


class ImageToMask(_MaskNode):
    """One channel of pictures as masks."""

    DISPLAY_NAME = "Convert Image to Mask"
    REQUIRED = inputs(image=("IMAGE",), channel=(_CHANNELS,))

    def run(self, image: Tensor, channel: str) -> tuple[Tensor]:
        """The channel as it is; a picture without alpha is opaque."""
        index = _CHANNELS.index(channel)
        if index < image.shape[-1]:
            return (image[..., index],)
        return (torch.ones(image.shape[:3], dtype=image.dtype, device=image.device),)


class ImageColorToMask(_MaskNode):
    """A mask of where pictures have a color."""

    REQUIRED = inputs(
        image=("IMAGE",),
        color=("INT", {"default": 0, "min": 0, "max": 0xFFFFFF, "step": 1, "display": "number"}),
    )

    def run(self, image: Tensor, color: int) -> tuple[Tensor]:
        """`color` is 0xRRGGBB."""
        return (is_color(image, color),)


class MaskToImage(_MaskNode):
    """Masks as grey pictures."""

    DISPLAY_NAME = "Convert Mask to Image"
    REQUIRED = inputs(mask=("MASK",))
    RETURN_TYPES = ("IMAGE",)

    def run(self, mask: Tensor) -> tuple[Tensor]:
        """Three equal channels."""
        return (_grey(mask),)


class MaskPreview(_MaskNode):
    """Shows masks to the client as grey pictures in the temp folder."""

    DISPLAY_NAME = "Preview Mask"
    REQUIRED = inputs(mask=("MASK",))
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    RETURN_NAMES = ("mask",)
    OUTPUT_NODE = True
    IN_BACKGROUND = True

    def __init__(self) -> None:
        self._preview = PreviewImage()

    def run(
        self, mask: Tensor, prompt: Any = None, extra_pnginfo: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """As PreviewImage."""
        shown = self._preview.run(_grey(mask), prompt=prompt, extra_pnginfo=extra_pnginfo)
        return {"ui": shown["ui"], "result": (mask,)}


def _grey(mask: Tensor) -> Tensor:
    """Three equal channels, which share their memory."""
    return as_batch(mask)[..., None].expand(-1, -1, -1, 3)


class ImageCompositeMasked(_MaskNode):
    """Lays one picture over another."""

    CATEGORY = "image"
    REQUIRED = inputs(
        destination=("IMAGE",),
        source=("IMAGE",),
        x=("INT", _PLACE),
        y=("INT", _PLACE),
        resize_source=("BOOLEAN", {"default": False}),
    )
    OPTIONAL = inputs(mask=("MASK",))
    RETURN_TYPES = ("IMAGE",)

    def run(
        self,
        destination: Tensor,
        source: Tensor,
        x: int,
        y: int,
        resize_source: bool,
        mask: Tensor | None = None,
    ) -> tuple[Tensor]:
        """Where the mask of the source is 1, or all of it; with the destination's channels."""
        channels = destination.shape[-1]
        upper = with_channels(source, max(channels, source.shape[-1]))[..., :channels]
        laid = lay_over(
            destination.movedim(-1, 1),
            upper.movedim(-1, 1),
            x,
            y,
            mask,
            resize_upper=resize_source,
        )
        return (laid.movedim(1, -1),)


class LatentCompositeMasked(_MaskNode):
    """Lays one latent over another."""

    CATEGORY = "latent"
    REQUIRED = inputs(
        destination=("LATENT",),
        source=("LATENT",),
        x=("INT", {**_PLACE, "step": 8}),
        y=("INT", {**_PLACE, "step": 8}),
        resize_source=("BOOLEAN", {"default": False}),
    )
    OPTIONAL = inputs(mask=("MASK",))
    RETURN_TYPES = ("LATENT",)

    def run(
        self,
        destination: Latent,
        source: Latent,
        x: int,
        y: int,
        resize_source: bool,
        mask: Tensor | None = None,
    ) -> tuple[Latent]:
        """As ImageCompositeMasked; the place is in pixels.

        Raises InvalidInput for latents of different models.
        """
        check_sides(destination["samples"])
        check_alike(destination["samples"], source["samples"])
        laid = lay_over(
            destination["samples"],
            source["samples"],
            x // _PIXELS,
            y // _PIXELS,
            mask,
            resize_upper=resize_source,
        )
        return (with_samples(destination, laid),)
