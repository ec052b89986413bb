"""Nodes that give a picture to models that see one beside the noisy latent."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from models.conditioning import Conditioning, with_options
from nodes.base import Node, inputs
from nodes.missing_parts import need_vae
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
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
