"""Nodes that make pictures ready for video models."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.tensors.colors import transfer, with_bands_of, with_statistics_of
from nodes.tensors.compression import compressed
from nodes.tensors.pictures import in_color


class LTXVPreprocess(SchemaNode):
    """Compresses pictures like frames of a film, which LTX-Video was trained on."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_lt"
    CATEGORY = "image"
    REQUIRED = inputs(
        image=("IMAGE",), img_compression=("INT", {"default": 35, "min": 0, "max": 100})
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("output_image",)

    def run(self, image: Tensor, img_compression: int) -> tuple[Tensor]:
        """The rate factor of H.264; 0 leaves pictures as they are. Odd sides lose a pixel."""
        if img_compression == 0:
            return (image,)
        return (torch.stack([compressed(picture, img_compression) for picture in image]),)


class SeedVR2Preprocess(SchemaNode):
    """Brings pictures to the sides and the number that SeedVR2 takes."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_seedvr"
    CATEGORY = "image"
    REQUIRED = inputs(resized_images=("IMAGE",))
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)

    def run(self, resized_images: Tensor) -> tuple[Tensor]:
        """Black to the right and below up to multiples of 16; the last of 4 n + 1 repeats."""
        colors = resized_images[..., :3].clamp(0, 1)
        count, height, width = colors.shape[:3]
        padded = functional.pad(colors, (0, 0, 0, -width % 16, 0, -height % 16))
        missing = (1 - count) % 4
        return (torch.cat((padded, padded[-1:].expand(missing, -1, -1, -1))),)


class SeedVR2PostProcessing(SchemaNode):
    """Gives pictures that were restored the size and the colours that they had before."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_seedvr"
    CATEGORY = "image"
    REQUIRED = inputs(
        images=("IMAGE",),
        original_resized_images=("IMAGE",),
        color_correction_method=(["lab", "wavelet", "adain", "none"], {"default": "lab"}),
    )
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)

    def run(
        self, images: Tensor, original_resized_images: Tensor, color_correction_method: str
    ) -> tuple[Tensor]:
        """As many pictures as both have, with even sides; alpha is that of the originals."""
        count, height, width = (
            min(a, b)
            for a, b in zip(images.shape[:3], original_resized_images.shape[:3], strict=True)
        )
        if min(height, width) < 2:
            raise InvalidInput("these pictures must have two pixels along each side")
        common = (slice(count), slice(height // 2 * 2), slice(width // 2 * 2))
        colors, original = images[common][..., :3], original_resized_images[common]
        colors, original = in_color(colors), in_color(original)
        reference = original[..., :3]
        match color_correction_method:
            case "lab":
                colors = transfer(colors, reference, "reinhard_lab", 1.0, None)
            case "wavelet":
                colors = with_bands_of(reference, colors).clamp(0, 1)
            case "adain":
                colors = with_statistics_of(reference, colors).clamp(0, 1)
        return (torch.cat([colors, original[..., 3:]], dim=-1),)
