"""Loads model files into handles."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import PartMissing, UnknownModelFamily
from models.families import families
from models.families.clip_text import build_clip_text
from models.families.family import Family
from models.families.ldm_vae import build_vae
from models.handle import ModelHandle
from models.memory import Policy
from models.network import Network
from models.previews import LatentColours
from models.text.chunks import CLIP_L
from models.text.handle import TextHandle
from models.text.tokenizer import PromptTokenizer
from models.vae import VaeHandle
from models.weights import Weights, open_weights

if TYPE_CHECKING:
    from transformers import CLIPTextModel


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The parts of a checkpoint; files without a text encoder or a VAE exist."""

    model: ModelHandle
    text: TextHandle | None
    vae: VaeHandle | None


def recognise(weights: Weights) -> Family:
    """The family of a file; raises UnknownModelFamily."""
    for family in families():
        if family.recognise(weights):
            return family
    example = next(iter(weights.tensors), "none at all")
    raise UnknownModelFamily(weights.path, [family.name for family in families()], example)


def load_checkpoint(
    path: Path, policy: Policy, embedding_folders: Iterable[Path] = ()
) -> Checkpoint:
    """All parts of a single-file checkpoint. `embedding_folders` serve `embedding:name` in prompts.

    Raises ModelFileError (see models.errors) for a file that cannot be used.
    """
    return checkpoint_of(open_weights(path), policy, embedding_folders)


def checkpoint_of(
    weights: Weights, policy: Policy, embedding_folders: Iterable[Path] = ()
) -> Checkpoint:
    """All parts of an opened checkpoint."""
    family = recognise(weights)
    unet = _unet(weights, family, policy)
    text = family.build_text(weights, policy.text_dtype)
    vae = family.build_vae(weights, policy.vae_dtype)
    vae_handle = None if vae is None else VaeHandle(network=vae, policy=policy)
    return Checkpoint(
        model=_model_handle(unet, weights, family, policy, vae_handle),
        text=None if text is None else _text_handle(text, policy, embedding_folders),
        vae=vae_handle,
    )


def unet_of(weights: Weights, policy: Policy) -> ModelHandle:
    """The diffusion model of an opened file."""
    family = recognise(weights)
    return _model_handle(_unet(weights, family, policy), weights, family, policy, None)


def _unet(weights: Weights, family: Family, policy: Policy) -> Network[Any]:
    unet = family.build_unet(weights, policy.unet_dtype)
    if unet is None:
        raise PartMissing(weights.path, "diffusion model")
    return unet


def _model_handle(
    unet: Network[Any], weights: Weights, family: Family, policy: Policy, vae: VaeHandle | None
) -> ModelHandle:
    return ModelHandle(
        family=family.name,
        network=unet,
        own_schedule=family.schedule(weights),
        latent_format=family.latent_format,
        policy=policy,
        colours=None if vae is None else LatentColours(vae, family.latent_format),
    )


def text_of(weights: Weights, policy: Policy, embedding_folders: Iterable[Path] = ()) -> TextHandle:
    """The CLIP-L text encoder of an opened file, whatever it is prefixed with."""
    prefixes = ("cond_stage_model.transformer.", "clip_l.transformer.", "")
    network = build_clip_text(weights, policy.text_dtype, *prefixes)
    if network is None:
        raise PartMissing(weights.path, "CLIP-L text encoder")
    return _text_handle(network, policy, embedding_folders)


def _text_handle(
    network: Network[CLIPTextModel], policy: Policy, embedding_folders: Iterable[Path]
) -> TextHandle:
    tokenizer = PromptTokenizer(
        encoder="clip_l", chunk_format=CLIP_L, embedding_folders=tuple(embedding_folders)
    )
    return TextHandle(network=network, tokenizer=tokenizer, policy=policy)


def load_vae(path: Path, policy: Policy) -> VaeHandle:
    """The VAE of a file that holds only it, or of a checkpoint. Raises ModelFileError."""
    return vae_of(open_weights(path), policy)


def vae_of(weights: Weights, policy: Policy) -> VaeHandle:
    """The VAE of an opened file."""
    network = build_vae(weights, policy.vae_dtype)
    if network is None:
        raise PartMissing(weights.path, "VAE")
    return VaeHandle(network=network, policy=policy)
