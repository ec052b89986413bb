"""Nodes that give editing models several pictures to refer to at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from models.conditioning import Conditioning, appended, zeroed
from nodes.base import inputs
from nodes.empty_latents import EmptyFlux2LatentImage
from nodes.missing_parts import need_vae
from nodes.pixel_space import Vae
from nodes.schema import DynamicNode, growing, opening
from nodes.tensors.pictures import scaled

_MEGAPIXEL = 1024 * 1024


class ReferenceMultiLatent(DynamicNode):
    """Gives an editing model pictures to refer to, and a latent of the first one's size."""

    DISPLAY_NAME = "Set Reference Multi Latent"
    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_edit_model"
    CATEGORY = "advanced/conditioning/edit_models"
    REQUIRED = inputs(
        positive=("CONDITIONING",),
        resolution=opening(
            {
                "keep resolution": inputs(),
                "resize": inputs(
                    megapixels=("FLOAT", {"default": 1.0, "min": 0.01, "max": 16.0, "step": 0.01})
                ),
            }
        ),
    )
    OPTIONAL = inputs(
        negative=("CONDITIONING",),
        vae=("VAE",),
        images=growing("image", ("IMAGE",), names="image", least=0, most=100),
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "empty_latent")

    def run(
        self,
        positive: Conditioning,
        resolution: Mapping[str, Any],
        negative: Conditioning | None = None,
        vae: Vae | None = None,
        images: Mapping[str, Tensor] | None = None,
    ) -> tuple[Conditioning, Conditioning, dict[str, Any]]:
        """Pictures are encoded one by one, those of batches as well, and keep their ratios.

        Without a negative prompt the negative side is the positive one with nothing said. Without
        pictures the latent is square: of `megapixels`, or of one.
        """
        megapixels = resolution.get("megapixels")
        other = zeroed(positive) if negative is None else negative
        pictures = [one[None] for batch in (images or {}).values() for one in batch]
        if not pictures:
            return positive, other, _square(megapixels or 1.0, vae)
        encoder = need_vae(vae)
        latents = [encoder.encode(_resized(one, megapixels)) for one in pictures]
        return (
            appended(positive, "reference_latents", latents),
            appended(other, "reference_latents", latents),
            {"samples": torch.zeros_like(latents[0])},
        )


def _resized(picture: Tensor, megapixels: float | None) -> Tensor:
    """A picture [1, H, W, C] scaled to a number of pixels; None: as it is."""
    if megapixels is None:
        return picture
    height, width = picture.shape[1:3]
    factor = math.sqrt(megapixels * _MEGAPIXEL / (width * height))
    return scaled(picture, round(width * factor), round(height * factor), "lanczos")


def _square(megapixels: float, vae: Vae | None) -> dict[str, Any]:
    """Zeros for a square picture, in the VAE's latent space or else in that of Flux 2."""
    side = round(math.sqrt(megapixels * _MEGAPIXEL))
    if vae is None:
        return dict(EmptyFlux2LatentImage().run(side, side)[0])
    elements = max(1, side // vae.downscale)
    return {"samples": torch.zeros(1, vae.latent_channels, elements, elements)}
