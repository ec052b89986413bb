"""Nodes that give a picture to models that see one beside the noisy latent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torch import Tensor

from models.conditioning import Conditioning, appended, with_options
from nodes.base import Node, inputs
from nodes.missing_parts import need_vae
from nodes.pixel_space import Vae
from nodes.schema import DynamicNode, SchemaNode, growing
from nodes.vae import greyed

Result = tuple[Conditioning, Conditioning, dict[str, Any]]


class InpaintModelConditioning(Node):
    """Gives a picture and a mask to a model for inpainting."""

    CATEGORY = "conditioning/inpaint"
    REQUIRED = inputs(
        positive=("CONDITIONING",),
        negative=("CONDITIONING",),
        vae=("VAE",),
        pixels=("IMAGE",),
        mask=("MASK",),
        noise_mask=("BOOLEAN", {"default": True}),
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        pixels: Tensor,
        vae: Vae | None,
        mask: Tensor,
        noise_mask: bool = True,
    ) -> Result:
        """The model sees the picture grey under the mask; the latent is that of all of it."""
        encoder = need_vae(vae)
        grey, fitted = greyed(encoder, pixels, mask)
        latent: dict[str, Any] = {"samples": encoder.encode(encoder.crop(pixels))}
        if noise_mask:
            latent["noise_mask"] = fitted
        seen = {"concat_latent_image": encoder.encode(grey), "concat_mask": fitted}
        return with_options(positive, seen), with_options(negative, seen), latent


class InstructPixToPixConditioning(SchemaNode):
    """Gives a picture to a model that edits it as the prompt says."""

    CATEGORY = "conditioning/instructpix2pix"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_ip2p"
    REQUIRED = inputs(
        positive=("CONDITIONING",),
        negative=("CONDITIONING",),
        vae=("VAE",),
        pixels=("IMAGE",),
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")

    def run(
        self, positive: Conditioning, negative: Conditioning, vae: Vae | None, pixels: Tensor
    ) -> Result:
        """The latent to start from is empty."""
        encoder = need_vae(vae)
        encoded = encoder.encode(encoder.crop(pixels))
        seen = {"concat_latent_image": encoded}
        empty = {"samples": encoded.new_zeros(encoded.shape)}
        return with_options(positive, seen), with_options(negative, seen), empty


_REFERENCES: Final = [f"image_{number}" for number in range(1, 101)]


class HiDreamO1ReferenceImages(DynamicNode):
    """Gives HiDream-O1, which works on pixels, pictures to refer to."""

    DISPLAY_NAME = "HiDream-O1 Reference Images"
    CATEGORY = "conditioning"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_hidream_o1"
    REQUIRED = inputs(positive=("CONDITIONING",), negative=("CONDITIONING",))
    OPTIONAL = inputs(images=growing("image", ("IMAGE",), names=_REFERENCES, least=0))
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")

    def run(
        self,
        positive: Conditioning,
        negative: Conditioning,
        images: Mapping[str, Tensor] | None = None,
    ) -> tuple[Conditioning, Conditioning]:
        """`reference_images`, a list of [1, H, W, 3]: all pictures of all inputs, in order."""
        given = images or {}
        pictures = [
            picture[None, ..., :3]
            for name in _REFERENCES
            if name in given
            for picture in given[name]
        ]
        if not pictures:
            return positive, negative
        return (
            appended(positive, "reference_images", pictures),
            appended(negative, "reference_images", pictures),
        )
