"""The autoencoder of films of MiniMax-H3, built by diffusers, in the layout of diffusers.

Its configuration is seen from shapes. What these do not tell is as published: how many pixels and
frames a step joins, the clips of 17 frames. A file may state the mean and the deviation of each
channel of latents as tensors (`latents_mean`, `latents_std`); else they are 0 and 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import torch
from torch import Tensor

from models.errors import UnsupportedLayout
from models.families.latent_statistics import (
    NAMES,
    statistics_in,
    statistics_of,
    with_statistics,
)
from models.film.layout import FilmLayout
from models.network import Network, assemble
from models.weights import Weights

_PREFIXES: Final = ("first_stage_model.", "vae.")
_MARK: Final = "decoder.register_tokens"
_HEAD: Final = 64  # channels of a head of the decoder
_ROTATED: Final = 0.75  # of a head, by its place
_SEED: Final = 42  # of what encoded films are drawn with
# Colours as the network has them.
_MEAN: Final = (0.485, 0.456, 0.406)
_DEVIATION: Final = (0.229, 0.224, 0.225)
_CLIP: Final = 17  # frames that are encoded together
_CLIP_LATENTS: Final = 5  # latent frames that stand for them
_REST: Final = 5  # frames, and the latent frames that stand for them, after the last clip
_REST_LATENTS: Final = 2


@dataclass(frozen=True, kw_only=True)
class ClipLayout(FilmLayout):
    """Films of 17 n + 5 frames are 5 n + 2 latent frames; a picture is one."""

    def latent_frames(self, length: int) -> int:
        """How many latent frames stand for a film of that length, or for the next longer one."""
        if length <= 1:
            return 1
        clips = max(0, -(-(length - _REST) // _CLIP))
        return clips * _CLIP_LATENTS + _REST_LATENTS

    def whole_frames(self, length: int) -> int:
        """How many frames of a film of that length are encoded; one too short is continued."""
        if length < _REST:
            return length
        return (length - _REST) // _CLIP * _CLIP + _REST


def build_minimax_h3_video_vae(
    weights: Weights, dtype: torch.dtype
) -> tuple[Network[Any], FilmLayout] | None:
    """The autoencoder of a file and its layout; None if there is none of this family."""
    vae = weights if _MARK in weights.tensors else weights.below(*_PREFIXES)
    if _MARK not in vae.tensors:
        return None
    config = minimax_h3_config(vae)
    channels = config["latent_channels"]
    tensors = {**vae.tensors, **statistics_in(vae, channels)}
    network = assemble(lambda: _made(config), tensors, dtype, weights.path, originals=NAMES)
    layout = ClipLayout(
        scale=math.prod(config["spatial_downsample_factors"]),
        frames=math.prod(config["temporal_downsample_factors"]),
        channels=channels,
    )
    return network, layout


def minimax_h3_config(vae: Weights) -> dict[str, Any]:
    """Arguments of AutoencoderKLMiniMaxH3. Raises UnsupportedLayout for others than its kind."""
    blocks = [f"encoder.down_blocks.{n}" for n in range(vae.count("encoder.down_blocks.{}."))]
    halved = [f"{block}.downsamplers.0.conv.weight" in vae.tensors for block in blocks]
    _, registers, width = vae.shape(_MARK, 3)
    pixels = 3 * 4 ** sum(halved)
    frames = vae.shape("decoder.proj_out.weight", 2)[0] // pixels
    steps = frames.bit_length() - 1
    if width % _HEAD or frames != 2**steps or not all(halved[: steps + 1]):
        raise UnsupportedLayout(vae.path, "its VAE of films is not that of MiniMax-H3")
    return {
        "latent_channels": vae.shape("post_quant_conv.weight", 5)[0],
        "block_out_channels": tuple(
            vae.shape(f"{block}.resnets.0.conv1.weight", 5)[0] for block in blocks
        ),
        "layers_per_block": vae.count("encoder.down_blocks.0.resnets.{}."),
        "spatial_downsample_factors": tuple(2 if half else 1 for half in halved),
        # Frames are halved where pixels are, from the second level on.
        "temporal_downsample_factors": tuple(
            2 if 1 <= level <= steps else 1 for level in range(len(blocks))
        ),
        "decoder_num_layers": vae.count("decoder.transformer_blocks.{}."),
        "decoder_num_attention_heads": width // _HEAD,
        "decoder_attention_head_dim": _HEAD,
        "decoder_num_register_tokens": registers,
        "decoder_ffn_mult": vae.shape("decoder.transformer_blocks.0.ff.net.2.weight", 2)[1]
        // width,
    }


def _made(config: dict[str, Any]) -> Any:
    from diffusers import AutoencoderKLMiniMaxH3

    class FilmAutoencoder(AutoencoderKLMiniMaxH3):  # type: ignore[misc]
        """On colours of -1 to 1, and latents of a mean of 0 and a deviation of 1.

        What films are encoded to is drawn, as the transformer knows it.
        """

        def encode(self, x: Tensor, return_dict: bool = True) -> tuple[Any]:
            """Films [B, 3, T, H, W]; the `mean` of the result is what was drawn."""
            mean, deviation = _colours(x)
            posterior = super().encode(((x + 1) / 2 - mean) / deviation, return_dict=False)[0]
            drawn = posterior.sample(generator=torch.Generator().manual_seed(_SEED))
            mean, deviation = statistics_of(self, drawn)
            rounded = drawn.to(torch.float16).to(drawn)
            return (SimpleNamespace(mean=(rounded - mean) / deviation),)

        def decode(self, z: Tensor, return_dict: bool = True) -> tuple[Tensor]:
            """Latents [B, C, t, h, w] to films; short ones go on with their last frame."""
            frames = z.shape[2]
            missing = max(0, _CLIP_LATENTS + _REST_LATENTS - frames)
            z = torch.cat([z, z[:, :, -1:].expand(-1, -1, missing, -1, -1)], dim=2)
            mean, deviation = statistics_of(self, z)
            film = super().decode(z * deviation + mean, return_dict=False)[0]
            if missing:  # each but the first of a clip is as many frames
                starts = -(-frames // _CLIP_LATENTS)
                film = film[:, :, : starts + (frames - starts) * self.temporal_compression_ratio]
            mean, deviation = _colours(film)
            return ((film * deviation + mean) * 2 - 1,)

    module = FilmAutoencoder(**config)
    with torch.device("cpu"):  # its frequencies are in no file
        module.decoder.rope = type(module.decoder.rope)(int(_HEAD * _ROTATED))
    return with_statistics(module, config["latent_channels"])


def _colours(like: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the deviation of colours, [3, 1, 1, 1]."""
    mean, deviation = (torch.tensor(values).view(3, 1, 1, 1) for values in (_MEAN, _DEVIATION))
    return mean.to(like), deviation.to(like)
