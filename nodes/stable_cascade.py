"""Nodes for the stages of Stable Cascade (Pernias et al. 2023, arXiv:2306.00637)."""

from __future__ import annotations

from typing import ClassVar, Final

import torch
from torch import Tensor

from models.conditioning import Conditioning, with_options
from nodes.base import inputs
from nodes.missing_parts import need_vae
from nodes.pixel_space import Vae
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent
from nodes.tensors.pictures import scaled

_MODULE: Final = "comfy_extras.nodes_stable_cascade"
_STAGE_B: Final = 4  # pixels along each side of an element of its latents


class StableCascade_StageB_Conditioning(SchemaNode):
    """Gives the second stage the small latent that the first one has made."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    CATEGORY = "conditioning/stable_cascade"
    REQUIRED = inputs(conditioning=("CONDITIONING", {}), stage_c=("LATENT", {}))
    RETURN_TYPES = ("CONDITIONING",)

    def run(self, conditioning: Conditioning, stage_c: Latent) -> tuple[Conditioning]:
        """As the option `stable_cascade_prior`."""
        return (with_options(conditioning, {"stable_cascade_prior": stage_c["samples"]}),)


class StableCascade_StageC_VAEEncode(SchemaNode):
    """Encodes pictures as the first stage would have made them."""

    RELATIVE_PYTHON_MODULE: ClassVar[str] = _MODULE
    CATEGORY = "latent/stable_cascade"
    REQUIRED = inputs(
        image=("IMAGE", {}),
        vae=("VAE", {}),
        compression=("INT", {"default": 42, "min": 4, "max": 128, "step": 1}),
    )
    RETURN_TYPES = ("LATENT", "LATENT")
    RETURN_NAMES = ("stage_c", "stage_b")

    def run(self, image: Tensor, vae: Vae | None, compression: int) -> tuple[Latent, Latent]:
        """[B, C, height / compression, width / compression], and an empty latent of stage B."""
        encoder = need_vae(vae)
        height, width = image.shape[1:3]
        wide, high = (max(1, s // compression) * encoder.downscale for s in (width, height))
        samples = encoder.encode(scaled(image, wide, high, "bicubic").clamp(0, 1))
        empty = torch.zeros(len(image), 4, height // _STAGE_B, width // _STAGE_B)
        return {"samples": samples}, {"samples": empty}
