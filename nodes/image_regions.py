"""Nodes of later releases that cut pictures to a region: a rectangle, or what a mask shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import torch
from torch import Tensor

from nodes.base import Declared, inputs
from nodes.saving import PreviewImage
from nodes.schema import SchemaNode
from nodes.tensors.colors import rgb_of
from nodes.tensors.masks import as_batch
from nodes.tensors.regions import Region, crop_to_mask

_SIDE: Final[Declared] = ("INT", {"default": 1024, "min": 64, "max": 4096, "step": 8})


class _RegionNode(SchemaNode):
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_images"
    CATEGORY = "image/transform"
    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("IMAGE",)


class ImageCropV2(_RegionNode):
    """Cuts a rectangle, drawn on the node, out of pictures."""

    DISPLAY_NAME = "Image Crop"
    REQUIRED = inputs(
        image=("IMAGE",),
        crop_region=(
            "BOUNDING_BOX",
            {"default": {"x": 0, "y": 0, "width": 512, "height": 512}, "socketless": True},
        ),
    )
    HIDDEN = (("prompt", "PROMPT"), ("extra_pnginfo", "EXTRA_PNGINFO"))
    HAS_INTERMEDIATE_OUTPUT = True
    IN_BACKGROUND = True

    def __init__(self) -> None:
        self._preview = PreviewImage()

    def run(
        self,
        image: Tensor,
        crop_region: Mapping[str, int],
        prompt: Any = None,
        extra_pnginfo: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """What lies beyond the picture is left out; the whole picture is shown on the node."""
        region = Region.of(crop_region).moved_into(image.shape[2], image.shape[1])
        shown = self._preview.run(image, prompt=prompt, extra_pnginfo=extra_pnginfo)
        return {"ui": shown["ui"], "result": (region.cut(image),)}


class ImageCropToMask(_RegionNode):
    """Cuts pictures to what their masks show, on a colour."""

    DISPLAY_NAME = "Image Crop To Mask"
    REQUIRED = inputs(
        images=("IMAGE",),
        masks=("MASK",),
        width=_SIDE,
        height=_SIDE,
        pad_factor=("FLOAT", {"default": 1.0, "min": 1.0, "max": 2.0, "step": 0.01}),
        grow_mask=("INT", {"default": 0, "min": -32, "max": 32}),
        background=("COLOR", {"default": "#000000", "socketless": True}),
    )
    RETURN_NAMES = ("images",)

    def run(
        self,
        images: Tensor,
        masks: Tensor,
        width: int,
        height: int,
        pad_factor: float,
        grow_mask: int,
        background: str,
    ) -> tuple[Tensor]:
        """A mask that shows the surroundings is inverted, one that shows nothing shows all."""
        color, shown = rgb_of(background)[0], as_batch(masks)
        cut = [
            crop_to_mask(image, shown[i % len(shown)], width, height, pad_factor, grow_mask, color)
            for i, image in enumerate(images)
        ]
        return (torch.stack(cut),)
