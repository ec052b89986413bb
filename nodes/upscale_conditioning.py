"""The conditioning of Stable Diffusion's 4x upscaler: the picture that it enlarges."""

from __future__ import annotations

import torch
from torch import Tensor

from models.conditioning import Conditioning, with_options
from models.math import resize
from nodes.base import inputs
from nodes.schema import SchemaNode
from nodes.tensors.latents import Latent


class SD_4XUpscale_Conditioning(SchemaNode):
    """Prepares pictures to be enlarged by Stable Diffusion's 4x upscaler."""

    RELATIVE_PYTHON_MODULE = "comfy_extras.nodes_sdupscale"
    CATEGORY = "conditioning/upscale_diffusion"
    REQUIRED = inputs(
        images=("IMAGE",),
        positive=("CONDITIONING",),
        negative=("CONDITIONING",),
        scale_ratio=("FLOAT", {"default": 4.0, "min": 0.0, "max": 10.0, "step": 0.01}),
        noise_augmentation=("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.001}),
    )
    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")

    def run(
        self,
        images: Tensor,
        positive: Conditioning,
        negative: Conditioning,
        scale_ratio: float,
        noise_augmentation: float,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        """The model works on a quarter of the size that is asked for, in pixels -1..1."""
        width, height = (
            max(1, max(1, round(side * scale_ratio)) // 4) for side in images.shape[2:0:-1]
        )
        signed = images[..., :3].movedim(-1, 1) * 2 - 1
        options = {
            "concat_image": resize(signed, width, height, "bilinear", crop=True),
            "noise_augmentation": noise_augmentation,
        }
        return (
            with_options(positive, options),
            with_options(negative, options),
            {"samples": torch.zeros(images.shape[0], 4, height, width)},
        )
