"""Tiny autoencoders (TAESD, https://github.com/madebyollin/taesd), built by diffusers.

The original keeps each half in a file of its own and numbers its layers; the decoder's first one
has no weights and is not counted by diffusers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from models.network import Network, assemble
from models.weights import Weights

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny


@dataclass(frozen=True, kw_only=True)
class TinyFormat:
    """How the latents of the full autoencoder that a tiny one stands for are scaled."""

    scale: float
    shift: float = 0.0


# By the name that workflows use; their files begin with NAME_encoder and NAME_decoder.
TINY: Final[Mapping[str, TinyFormat]] = {
    "taesd": TinyFormat(scale=0.18215),
    "taesdxl": TinyFormat(scale=0.13025),
    "taesd3": TinyFormat(scale=1.5305, shift=0.0609),
    "taef1": TinyFormat(scale=0.3611, shift=0.1159),
}


def build_tiny_vae(
    decoder: Weights, encoder: Weights | None, dtype: torch.dtype
) -> Network[AutoencoderTiny]:
    """The autoencoder of two files; without an encoder it only decodes."""
    from diffusers import AutoencoderTiny

    tensors = {f"decoder.layers.{_moved(name, -1)}": t for name, t in decoder.tensors.items()}
    channels, latent = decoder.shape("1.weight")[:2]
    config = {
        "latent_channels": latent,
        "encoder_block_out_channels": (channels,) * 4,
        "decoder_block_out_channels": (channels,) * 4,
    }
    if encoder is not None:
        tensors |= {f"encoder.layers.{name}": tensor for name, tensor in encoder.tensors.items()}

    def made() -> AutoencoderTiny:
        module = AutoencoderTiny(**config)
        if encoder is None:
            module.encoder = None
        return module

    return assemble(made, tensors, dtype, decoder.path)


def _moved(name: str, by: int) -> str:
    number, _, rest = name.partition(".")
    return f"{int(number) + by}.{rest}" if number.isdecimal() else name
