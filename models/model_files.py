"""Writes models to files: weights with their patches, under the names of checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from models.audio.vae import AudioVaeHandle
from models.families.clip_vision import STABLE_VIDEO_PREFIX, to_open_clip, usual_heads
from models.families.diffusers_names import (
    UNET_PREFIX,
    with_original_names,
)
from models.film.vae import FilmVaeHandle
from models.handle import ModelHandle
from models.sampling.prediction import Epsilon, Velocity
from models.sampling.schedule import DiscreteSchedule
from models.text.handle import TextHandle
from models.text.saving import stated_parts, text_tensors
from models.vae import VaeHandle
from models.vision import CLIP, VisionHandle
from models.weights import CONFIG_KEY, Weights

_PREDICT_KEYS: Final[Mapping[type, str]] = {Epsilon: "epsilon", Velocity: "v"}

# What a file without further words is taken for; see models/README.md.
_USUAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "vae": {"norm_num_groups": 32},
}


def unet_tensors(model: ModelHandle) -> dict[str, Tensor]:
    """The weights of a diffusion model with its patches, by their original names."""
    network = model.network
    return {
        network.original(name): network.merged(name, model.patches.get(name, ()))
        for name in network.names()
    }


def vae_tensors(vae: VaeHandle | AudioVaeHandle) -> dict[str, Tensor]:
    """The weights of an autoencoder by their original names."""
    network = vae.network
    if isinstance(vae, FilmVaeHandle):
        return {network.original(name): network.merged(name, ()) for name in network.names()}
    stored = {name: network.merged(name, ()) for name in network.names()}
    return with_original_names(Weights(path=Path("vae"), tensors=stored)).tensors


def checkpoint_tensors(
    model: ModelHandle,
    text: TextHandle | None = None,
    vae: VaeHandle | AudioVaeHandle | None = None,
) -> dict[str, Tensor]:
    """The parts of a checkpoint under their prefixes."""
    tensors = {UNET_PREFIX + name: tensor for name, tensor in unet_tensors(model).items()}
    tensors |= model.latent_format.marks() | model.model.marks()
    if text is not None:
        tensors |= text_tensors(text)
    if vae is not None:
        prefix = model.family.vae_prefix
        tensors |= {prefix + name: tensor for name, tensor in vae_tensors(vae).items()}
    return tensors


def vision_tensors(vision: VisionHandle) -> dict[str, Tensor]:
    """The weights of an image encoder as checkpoints of Stable Video Diffusion name them.

    SigLIP, which has no place in them, keeps the names of its own files.
    """
    stored = {name: vision.network.merged(name, ()) for name in vision.network.names()}
    if vision.colours == CLIP:
        return {STABLE_VIDEO_PREFIX + name: t for name, t in to_open_clip(stored).items()}
    prefix = "vision_model."
    return {prefix + name.removeprefix(prefix): tensor for name, tensor in stored.items()}


def model_metadata(
    model: ModelHandle | None = None,
    text: TextHandle | None = None,
    vae: VaeHandle | AudioVaeHandle | None = None,
    vision: VisionHandle | None = None,
) -> dict[str, str]:
    """What a file has to say beside shapes: the parametrisation, and what is unusual in it."""
    found: dict[str, dict[str, Any]] = {}
    metadata: dict[str, str] = {}
    if model is not None:
        unet = model.model.diffusion_model.stated()
        prediction = _PREDICT_KEYS.get(type(model.schedule.prediction))
        if prediction is not None:
            metadata["modelspec.predict_key"] = prediction
        if prediction == "v":
            unet["prediction_type"] = "v_prediction"
        if isinstance(model.schedule, DiscreteSchedule) and model.schedule.is_zero_snr:
            unet["zero_snr"] = True
        found["unet"] = unet
    if isinstance(vae, VaeHandle) and not isinstance(vae, FilmVaeHandle):
        found["vae"] = {"norm_num_groups": vae.network.module.config.norm_num_groups}
    if vision is not None:
        config = vision.model.config
        if config.num_attention_heads != usual_heads(config.hidden_size):
            found["image_encoder"] = {"num_attention_heads": config.num_attention_heads}
    unusual = {
        part: {
            name: value for name, value in said.items() if value != _USUAL.get(part, {}).get(name)
        }
        for part, said in found.items()
    }
    unusual = {part: said for part, said in unusual.items() if said}
    if text is not None:
        unusual |= stated_parts(text)
    if unusual:
        metadata[CONFIG_KEY] = json.dumps(unusual)
    return metadata
