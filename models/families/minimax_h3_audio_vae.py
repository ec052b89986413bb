"""The autoencoder of sounds of MiniMax-H3, built by diffusers, whose names are the original's.

It hears one channel: those of stereo are encoded by themselves, and lie one behind the other among
the channels of latents.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

from models.audio.codec import SoundCodec
from models.errors import UnsupportedLayout
from models.families.latent_statistics import (
    NAMES,
    statistics_in,
    statistics_of,
    with_statistics,
)
from models.families.weight_norm import quietly
from models.network import Network, assemble
from models.weights import Weights

_MARKS: Final = ("dec_in_proj.weight", "mean_proj.weight", "decoder.conv_pre.weight_v")
_RATE: Final = 32000  # Hz
# Shapes tell how wide a convolution that makes sounds longer is; by how much differs with it.
_FACTORS: Final[Mapping[int, int]] = {4: 2, 9: 5}
_DILATIONS: Final = (1, 3, 5)
_SIDES: Final = 2


class MiniMaxH3Codec(SoundCodec):
    """Latents of a mean of 0 and a deviation of 1, by the statistics of the file if it has them."""

    def encode(self, network: Any, sounds: Tensor) -> Tensor:
        """[B, 2, T] to [B, 2 C, frames]."""
        sides = sounds.reshape(-1, 1, sounds.shape[-1])
        latents = network.encode(sides).latent_dist.mode()
        mean, deviation = statistics_of(network, latents)
        normalised: Tensor = (latents - mean) / deviation
        return normalised.reshape(len(sounds), -1, latents.shape[-1])

    def decode(self, network: Any, latents: Tensor) -> Tensor:
        """[B, 2 C, frames] to [B, 2, T]."""
        sides = latents.reshape(len(latents) * _SIDES, -1, latents.shape[-1])
        mean, deviation = statistics_of(network, sides)
        sounds: Tensor = network.decode(sides * deviation + mean).sample
        return sounds.reshape(len(latents), _SIDES, -1)


def build_minimax_h3_audio_vae(
    weights: Weights, dtype: torch.dtype
) -> tuple[Network[Any], MiniMaxH3Codec] | None:
    """The autoencoder of a file; None if there is none."""
    if not all(mark in weights.tensors for mark in _MARKS):
        return None
    from diffusers import AutoencoderKLMiniMaxH3Audio

    config = minimax_h3_audio_config(weights)
    channels = config["latent_channels"]
    network = assemble(
        lambda: with_statistics(quietly(AutoencoderKLMiniMaxH3Audio, **config), channels),
        {**weights.tensors, **statistics_in(weights, channels)},
        dtype,
        weights.path,
        originals=NAMES,
    )
    codec = MiniMaxH3Codec(
        sample_rate=_RATE,
        channels=_SIDES,
        hop=math.prod(config["encoder_rates"]),
        latent_channels=_SIDES * channels,
        hears_all=True,
    )
    return network, codec


def minimax_h3_audio_config(vae: Weights) -> dict[str, Any]:
    """Arguments of AutoencoderKLMiniMaxH3Audio."""
    latent_dim, latent_channels, _ = vae.shape("dec_in_proj.weight", axes=3)
    rates = [
        vae.shape(f"encoder.block.{place}.block.4.weight_v", axes=3)[2] // 2
        for place in range(1, vae.count("encoder.block.{}.") - 2)
    ]
    kernels = [
        vae.shape(f"decoder.ups.{place}.0.weight_v", axes=3)[2]
        for place in range(vae.count("decoder.ups.{}."))
    ]
    each = vae.count("decoder.resblocks.{}.") // max(1, len(kernels))
    if not each or any(kernel not in _FACTORS for kernel in kernels):
        raise UnsupportedLayout(vae.path, "its decoder of sounds is not that of MiniMax-H3")
    return {
        "encoder_dim": vae.shape("encoder.block.0.weight_v", axes=3)[0],
        "encoder_rates": rates,
        "latent_dim": latent_dim,
        "latent_channels": latent_channels,
        "num_attention_heads": vae.config("vae").get("num_attention_heads", 8),
        "decoder_dim": vae.shape("decoder.conv_pre.weight_v", axes=3)[0],
        "decoder_rates": [_FACTORS[kernel] for kernel in kernels],
        "decoder_kernel_sizes": kernels,
        "resblock_kernel_sizes": [
            vae.shape(f"decoder.resblocks.{place}.convs1.0.weight_v")[2] for place in range(each)
        ],
        "resblock_dilation_sizes": [_DILATIONS] * each,
        "sampling_rate": _RATE,
    }
