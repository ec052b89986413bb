"""Finds the autoencoder of sounds in a file."""

from __future__ import annotations

from pathlib import Path

import torch

from models.audio.vae import AudioVaeHandle
from models.errors import PartMissing
from models.families.ltx2_audio_vae import build_ltx2_audio_vae
from models.families.minimax_h3_audio_vae import build_minimax_h3_audio_vae
from models.families.oobleck_vae import build_oobleck
from models.memory import Policy
from models.weights import Weights, open_weights

_BUILDERS = (build_oobleck, build_ltx2_audio_vae, build_minimax_h3_audio_vae)


def audio_vae_of(weights: Weights, policy: Policy) -> AudioVaeHandle | None:
    """The autoencoder of sounds of an opened file; None if there is none.

    It computes in float32 whatever others do: in fewer bits sounds lose of their loudness and get
    noisy, and these networks are small.
    """
    for build in _BUILDERS:
        built = build(weights, torch.float32)
        if built is not None:
            network, codec = built
            return AudioVaeHandle(network=network, policy=policy, codec=codec)
    return None


def load_audio_vae(path: Path, policy: Policy) -> AudioVaeHandle:
    """The autoencoder of sounds of a file, a checkpoint as well. Raises ModelFileError."""
    return policy.library.fetch(
        ("audio VAE", policy), (path,), lambda: _needed(open_weights(path), policy)
    )


def _needed(weights: Weights, policy: Policy) -> AudioVaeHandle:
    found = audio_vae_of(weights, policy)
    if found is None:
        raise PartMissing(weights.path, "audio VAE")
    return found
