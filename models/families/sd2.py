"""Stable Diffusion 2.0 and 2.1: a UNet with matrices around its transformers, and OpenCLIP-H."""

from __future__ import annotations

from typing import Final

from models.families.family import Family
from models.families.ldm_unet import (
    LABEL,
    build_unet,
    has_finest_attention,
    has_linear_projections,
    unet_part,
)
from models.families.ldm_vae import build_vae
from models.families.predictions import discrete_schedule
from models.families.sd15 import latent_format
from models.protocol.concat import UNetBase
from models.protocol.unet import UNetModel
from models.sampling.prediction import EPSILON, VELOCITY, Prediction
from models.sampling.schedule import Schedule
from models.text.combinations import sd2_text
from models.weights import Weights

# Files say nothing of it, but the networks for v have large biases here: their standard deviation
# is several times that of the networks for noise (about 0.05).
_TELLTALE: Final = "transformer_blocks.0.norm1.bias"
_LARGE: Final = 0.08


def recognise(weights: Weights) -> bool:
    """A UNet whose transformers begin with a matrix, and which has some at full resolution."""
    unet = unet_part(weights)
    has_class = LABEL in unet.tensors
    return has_finest_attention(unet) and has_linear_projections(unet) and not has_class


def usual_prediction(weights: Weights) -> Prediction:
    """What the network's last transformer tells, where the file says nothing."""
    unet = unet_part(weights)
    last = unet.count("output_blocks.{}.") - 1
    bias = unet.tensors.get(f"output_blocks.{last}.1.{_TELLTALE}")
    return VELOCITY if bias is not None and float(bias.float().std()) > _LARGE else EPSILON


def schedule(weights: Weights) -> Schedule:
    """The table of all Stable Diffusion."""
    return discrete_schedule(weights, usual_prediction(weights))


FAMILY = Family(
    name="sd2",
    recognise=recognise,
    build_denoiser=build_unet,
    build_text=sd2_text,
    build_vae=build_vae,
    latent_format=latent_format,
    schedule=schedule,
    base_model=UNetBase,
    diffusion_model=UNetModel,
)
