"""Oobleck (Evans et al. 2024, arXiv 2404.10301): the autoencoder of Stable Audio and ACE-Step 1.5.

Configuration from shapes, built by diffusers. Files have the names of stable-audio-tools, whose
layers are numbered, or those of diffusers; weights are directions and lengths (weight norm) under
the names that torch has for these before or since its release 2.0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from models.audio.codec import SoundCodec
from models.families.weight_norm import DIRECTION, older_name, quietly
from models.network import Network, assemble
from models.weights import Weights

PREFIXES: Final = ("pretransform.model.", "first_stage_model.", "vae.")
_RATES: Final = {2048: 44100, 1920: 48000}  # by samples a frame: Stable Audio, ACE-Step 1.5
_UNIT: Final = ("snake1", "conv1", "snake2", "conv2")
_BLOCKS: Final[Mapping[str, tuple[str, ...]]] = {
    "encoder": ("res_unit1", "res_unit2", "res_unit3", "snake1", "conv1"),
    "decoder": ("snake1", "conv_t1", "res_unit1", "res_unit2", "res_unit3"),
}
_LAYER: Final = re.compile(
    r"^(encoder|decoder)\.layers\.(\d+)\.(?:layers\.([0-4])\.)?(?:layers\.([0-3])\.)?"
)
_SNAKE: Final = re.compile(r"snake\d\.(alpha|beta)$")


class OobleckCodec(SoundCodec):
    """Samples to frames without bands."""

    def encode(self, network: Any, sounds: Tensor) -> Tensor:
        """Samples to the mean of latents."""
        latents: Tensor = network.encode(sounds).latent_dist.mode()
        return latents

    def decode(self, network: Any, latents: Tensor) -> Tensor:
        """Latents to samples."""
        sounds: Tensor = network.decode(latents).sample
        return sounds


def build_oobleck(weights: Weights, dtype: torch.dtype) -> tuple[Network[Any], OobleckCodec] | None:
    """The autoencoder of a checkpoint, or of a file that holds nothing else; None without one."""
    own = _of_diffusers(weights.below(*PREFIXES))
    if not _is_oobleck(own):
        own = _of_diffusers(weights)
    if not _is_oobleck(own):
        return None
    from diffusers import AutoencoderOobleck

    config = oobleck_config(own)
    network = assemble(
        lambda: quietly(AutoencoderOobleck, **config), own.tensors, dtype, weights.path
    )
    hop = math.prod(config["downsampling_ratios"])
    codec = OobleckCodec(
        sample_rate=config["sampling_rate"],
        channels=config["audio_channels"],
        hop=hop,
        latent_channels=config["decoder_input_channels"],
    )
    return network, codec


def oobleck_config(vae: Weights) -> dict[str, Any]:
    """Arguments of AutoencoderOobleck for tensors under diffusers' names."""
    width, channels, _ = vae.shape(f"encoder.conv1.{DIRECTION}", axes=3)
    blocks = [
        vae.shape(f"encoder.block.{place}.conv1.{DIRECTION}", axes=3)
        for place in range(vae.count("encoder.block.{}."))
    ]
    ratios = [kernel // 2 for _, _, kernel in blocks]
    return {
        "encoder_hidden_size": width,
        "downsampling_ratios": ratios,
        "channel_multiples": [wide // width for wide, _, _ in blocks],
        "decoder_channels": vae.shape(f"decoder.conv2.{DIRECTION}", axes=3)[1],
        "decoder_input_channels": vae.shape(f"decoder.conv1.{DIRECTION}", axes=3)[1],
        "audio_channels": channels,
        "sampling_rate": _RATES.get(math.prod(ratios), 44100),
    }


def _is_oobleck(vae: Weights) -> bool:
    marks = (f"encoder.conv1.{DIRECTION}", f"decoder.block.0.conv_t1.{DIRECTION}")
    return all(mark in vae.tensors for mark in marks)


def _of_diffusers(vae: Weights) -> Weights:
    """The tensors under diffusers' names, in its shapes."""
    rename = _renamer(vae)
    found = {rename(name): tensor for name, tensor in vae.tensors.items()}
    tensors = {
        name: tensor.reshape(1, -1, 1) if _SNAKE.search(name) else tensor
        for name, tensor in found.items()
    }
    return Weights(path=vae.path, tensors=tensors, metadata=vae.metadata)


def _renamer(vae: Weights) -> Callable[[str], str]:
    """From the names of stable-audio-tools to those of diffusers; others stay as they are."""
    # A convolution stands before the blocks, an activation and a convolution stand behind.
    blocks = {half: vae.count(f"{half}.layers.{{}}.") - 3 for half in _BLOCKS}

    def place(match: re.Match[str]) -> str:
        half, layer, part, inner = match[1], int(match[2]), match[3], match[4]
        if part is None:
            ends = {0: "conv1", blocks[half] + 1: "snake1", blocks[half] + 2: "conv2"}
            return f"{half}.{ends.get(layer, layer)}."
        name = f"{half}.block.{layer - 1}.{_BLOCKS[half][int(part)]}."
        return name if inner is None else f"{name}{_UNIT[int(inner)]}."

    def rename(name: str) -> str:
        return _LAYER.sub(place, older_name(name))

    return rename
