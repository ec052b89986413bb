"""The autoencoder of sounds of LTX-2 (HaCohen et al. 2026) with its vocoder, built by diffusers.

It works on spectrograms in mel bands; the vocoder makes sounds of these again. Since LTX-2.3 a
second network adds high tones. Checkpoints have both beside everything else; configuration comes
from shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.audio.codec import SoundCodec
from models.audio.mel import log_mel
from models.errors import PartMissing, UnsupportedLayout
from models.families.ltx2_vocoder import Vocoder, vocoder_of
from models.network import Network, assemble
from models.weights import Weights

PREFIX: Final = "audio_vae."
_FIRST: Final = "encoder.conv_in.conv.weight"
_STATISTICS: Final = {
    "per_channel_statistics.mean-of-means": "latents_mean",
    "per_channel_statistics.std-of-means": "latents_std",
}
_RATE: Final = 16000  # Hz, of sounds that it was trained with
_WINDOW, _HOP = 1024, 160  # samples of a spectrum, and from one to the next
_SHRINKS: Final = 4  # spectra to a frame of latents, and mel bands to a band of these


class Ltx2Sound(nn.Module):
    """Both networks, under the prefixes that files have for them."""

    def __init__(self, audio_vae: nn.Module, vocoder: nn.Module) -> None:
        super().__init__()
        self.audio_vae, self.vocoder = audio_vae, vocoder


@dataclass(frozen=True, kw_only=True)
class Ltx2Codec(SoundCodec):
    """Latents have the mean 0 and the deviation 1 that the transformer knows."""

    vocoder_rate: int  # of sounds that are decoded, in Hz

    @property
    def output_rate(self) -> int:
        """The vocoder's."""
        return self.vocoder_rate

    def as_taken(self, sounds: Tensor) -> Tensor:
        """With both channels, and long enough for a spectrum."""
        whole = super().as_taken(sounds)[..., : sounds.shape[-1]]
        return functional.pad(whole, (0, max(0, _WINDOW - whole.shape[-1])))

    def encode(self, network: Any, sounds: Tensor) -> Tensor:
        """Samples to latents."""
        mel_bands = self.bands[0] * _SHRINKS
        mel = log_mel(
            sounds, sample_rate=self.sample_rate, window=_WINDOW, hop=_HOP, bands=mel_bands
        )
        latents: Tensor = network.audio_vae.encode(mel).latent_dist.mode()
        mean, std = self._statistics(network, latents)
        return (latents - mean) / std

    def decode(self, network: Any, latents: Tensor) -> Tensor:
        """Latents to samples."""
        mean, std = self._statistics(network, latents)
        mel = network.audio_vae.decode(latents * std + mean).sample
        sounds: Tensor = network.vocoder(mel)
        return sounds

    def _statistics(self, network: Any, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Of each channel and band, [1, C, 1, bands]."""
        stored = (network.audio_vae.latents_mean, network.audio_vae.latents_std)
        mean, std = (
            each.reshape(1, self.latent_channels, 1, *self.bands).to(latents) for each in stored
        )
        return mean, std


def build_ltx2_audio_vae(
    weights: Weights, dtype: torch.dtype
) -> tuple[Network[Ltx2Sound], Ltx2Codec] | None:
    """The autoencoder of a checkpoint or of a file of its own; None if there is none.

    Raises PartMissing if there is no vocoder.
    """
    vae = weights if _FIRST in weights.tensors else weights.below(PREFIX)
    if _FIRST not in vae.tensors or vae.tensors[_FIRST].ndim != 4:
        return None
    vocoder = vocoder_of(weights)
    if vocoder is None:
        raise PartMissing(weights.path, "vocoder", "Use a file that has both.")
    from diffusers import AutoencoderKLLTX2Audio

    config = audio_vae_config(vae, vocoder)
    tensors = {f"vocoder.{name}": tensor for name, tensor in vocoder.tensors.items()}
    tensors |= {PREFIX + _STATISTICS.get(name, name): t for name, t in vae.tensors.items()}
    network = assemble(
        lambda: Ltx2Sound(AutoencoderKLLTX2Audio(**config), vocoder.made()),
        tensors,
        dtype,
        weights.path,
    )
    codec = Ltx2Codec(
        sample_rate=_RATE,
        channels=config["in_channels"],
        hop=_HOP * _SHRINKS,
        latent_channels=config["latent_channels"],
        bands=(config["mel_bins"] // _SHRINKS,),
        vocoder_rate=_RATE // _HOP * vocoder.samples,
    )
    return network, codec


def audio_vae_config(vae: Weights, vocoder: Vocoder) -> dict[str, Any]:
    """Arguments of AutoencoderKLLTX2Audio for tensors without prefix."""
    if "encoder.norm_out.weight" in vae.tensors or vae.count("encoder.down.{}.attn.0"):
        raise UnsupportedLayout(vae.path, "its audio VAE has other norms or attention than LTX-2's")
    width, channels, *_ = vae.shape(_FIRST, axes=4)
    levels = range(vae.count("encoder.down.{}."))
    if 2 ** (len(levels) - 1) != _SHRINKS:
        raise UnsupportedLayout(vae.path, f"its audio VAE has {len(levels)} levels instead of 3")
    latent_channels = vae.shape("decoder.conv_in.conv.weight")[1]
    return {
        "base_channels": width,
        "in_channels": channels,
        "output_channels": vae.shape("decoder.conv_out.conv.weight")[0],
        "ch_mult": tuple(
            vae.shape(f"encoder.down.{level}.block.0.conv1.conv.weight")[0] // width
            for level in levels
        ),
        "num_res_blocks": vae.count("encoder.down.0.block.{}."),
        "latent_channels": latent_channels,
        "double_z": vae.shape("encoder.conv_out.conv.weight")[0] == 2 * latent_channels,
        "mid_block_add_attention": "encoder.mid.attn_1.q.weight" in vae.tensors,
        "sample_rate": _RATE,
        "mel_hop_length": _HOP,
        "mel_bins": vocoder.in_channels // channels,
    }
