"""Stable Diffusion 1.x and networks of its layout: LDM UNet, CLIP-L text encoder, 4-channel VAE."""

from __future__ import annotations

from models.families.family import Family
from models.families.ldm_unet import FIRST, LABEL, build_unet, has_linear_projections, unet_part
from models.families.ldm_vae import build_vae
from models.families.predictions import discrete_schedule
from models.protocol.concat import UNetBase
from models.protocol.latent_formats import SD15, LatentFormat
from models.protocol.unet import UNetModel
from models.text.combinations import sd1_text
from models.weights import Weights


def recognise(weights: Weights) -> bool:
    """A UNet without class labels, whose transformers begin with a convolution."""
    unet = unet_part(weights)
    has_transformers = any(name.endswith(".1.proj_in.weight") for name in unet.tensors)
    is_plain = has_transformers and LABEL not in unet.tensors
    return FIRST in unet.tensors and is_plain and not has_linear_projections(unet)


def latent_format(weights: Weights) -> LatentFormat:
    """That of the usual VAE."""
    return SD15()


FAMILY = Family(
    name="sd15",
    recognise=recognise,
    build_denoiser=build_unet,
    build_text=sd1_text,
    build_vae=build_vae,
    latent_format=latent_format,
    schedule=discrete_schedule,
    base_model=UNetBase,
    diffusion_model=UNetModel,
)
