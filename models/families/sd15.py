"""Stable Diffusion 1.x and networks of its layout: LDM UNet, CLIP-L text encoder, 4-channel VAE."""

from __future__ import annotations

from typing import Final

from models.errors import UnsupportedLayout
from models.families.family import Family
from models.families.ldm_unet import PREFIX, build_unet
from models.families.ldm_vae import build_vae
from models.protocol.concat import UNetBase
from models.protocol.latent_formats import SD15, LatentFormat
from models.protocol.unet import UNetModel
from models.sampling.prediction import EPSILON, VELOCITY, Prediction
from models.sampling.schedule import DiscreteSchedule, Schedule
from models.text.combinations import sd1_text
from models.weights import Weights

PREDICTIONS: Final[dict[str, Prediction]] = {"epsilon": EPSILON, "v_prediction": VELOCITY}


def recognise(weights: Weights) -> bool:
    """A UNet without class labels, whose transformers begin with a convolution."""
    for prefix in (PREFIX, ""):
        names = weights.tensors
        projection = names.get(f"{prefix}middle_block.1.proj_in.weight")
        if f"{prefix}input_blocks.0.0.weight" in names and projection is not None:
            return projection.ndim == 4 and f"{prefix}label_emb.0.0.weight" not in names
    return False


def latent_format(weights: Weights) -> LatentFormat:
    """That of the usual VAE."""
    return SD15()


def schedule(weights: Weights) -> Schedule:
    """The schedule; the file may say `"prediction_type": "v_prediction"` in its metadata."""
    stated = weights.config("unet").get("prediction_type", "epsilon")
    if stated not in PREDICTIONS:
        raise UnsupportedLayout(weights.path, f"its prediction type '{stated}' is not known")
    return DiscreteSchedule.scaled_linear(PREDICTIONS[stated])


FAMILY = Family(
    name="sd15",
    recognise=recognise,
    build_denoiser=build_unet,
    build_text=sd1_text,
    build_vae=build_vae,
    latent_format=latent_format,
    schedule=schedule,
    base_model=UNetBase,
    diffusion_model=UNetModel,
)
