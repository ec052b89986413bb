"""AudioVaeHandle: what flows through VAE sockets where an autoencoder is one of sounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from models.audio.codec import SoundCodec
from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network
from models.out_of_memory import NetworkRelief, whole_or_in_tiles
from models.protocol.audio_vae import AudioVaeProtocol
from models.tiles import scale_in_pieces

PIECE: Final = 512  # frames of latents, where nobody says how many
OVERLAP: Final = 64
LONG: Final = 60.0  # seconds; more would take tens of gigabytes as a whole


@dataclass(frozen=True, kw_only=True)
class AudioVaeHandle(AudioVaeProtocol):
    """A reference to a loaded autoencoder of sounds."""

    network: Network[Any]
    policy: Policy
    codec: SoundCodec

    def decode_sound(self, latents: Tensor) -> Tensor:
        """Latents [B, C, frames, *bands] to sounds [B, channels, T], float32, on the CPU.

        Their rate is the codec's `output_rate`. They are as loud as the network makes them. Long
        ones are decoded in pieces, and those that do not fit into the device's memory as a whole.
        """
        self._check_latents(latents)
        seconds = latents.shape[2] * self.codec.hop / self.codec.sample_rate
        whole, pieces = self.decode_sound_whole, self.decode_sound_in_pieces
        return self._or_in_pieces(pieces if seconds > LONG else whole, pieces, latents)

    def decode_sound_whole(self, latents: Tensor) -> Tensor:
        """`decode_sound` without pieces; raises torch.OutOfMemoryError."""
        self._check_latents(latents)
        return self._each(self.codec.decode, latents)

    def decode_sound_in_pieces(
        self, latents: Tensor, piece: int = PIECE, overlap: int = OVERLAP
    ) -> Tensor:
        """`decode_sound` in pieces of so many frames, blended where they overlap."""
        self._check_latents(latents)
        return scale_in_pieces(
            latents,
            self.decode_sound_whole,
            piece=piece,
            overlap=max(1, overlap),  # decoders may leave out something of the end
            scale=(self.codec.output_hop, 1),
        )

    def encode_sound(self, sounds: Tensor) -> Tensor:
        """Sounds [B, C, T] of the codec's `sample_rate` to latents, float32, on the CPU.

        See SoundCodec.as_taken for other numbers of channels and for the last frame. Long ones are
        encoded in pieces, unless the network hears all of a sound at once, and those that do not
        fit into the device's memory as a whole.
        """
        is_long = sounds.shape[-1] > LONG * self.codec.sample_rate and not self.codec.hears_all
        whole, pieces = self.encode_sound_whole, self.encode_sound_in_pieces
        return self._or_in_pieces(pieces if is_long else whole, pieces, sounds)

    def encode_sound_whole(self, sounds: Tensor) -> Tensor:
        """`encode_sound` without pieces; raises torch.OutOfMemoryError."""
        return self._each(self.codec.encode, self._as_taken(sounds))

    def encode_sound_in_pieces(
        self, sounds: Tensor, piece: int = PIECE, overlap: int = OVERLAP
    ) -> Tensor:
        """`encode_sound` in pieces of so many frames, blended where they overlap."""
        return scale_in_pieces(
            self._as_taken(sounds),
            self.encode_sound_whole,
            piece=piece * self.codec.hop,
            overlap=overlap * self.codec.hop,
            scale=(1, self.codec.hop),
        )

    def _check_latents(self, latents: Tensor) -> None:
        if not self.codec.takes(latents):
            wanted = (self.codec.latent_channels, "T", *self.codec.bands)
            raise InvalidInput(
                f"this VAE is for sounds: it decodes latents of shape "
                f"[B, {', '.join(map(str, wanted))}], not {list(latents.shape)}"
            )

    def _as_taken(self, sounds: Tensor) -> Tensor:
        if sounds.ndim != 3 or not sounds.numel():
            raise InvalidInput(
                f"this VAE is for sounds: it encodes samples of shape [B, C, T], "
                f"not {list(sounds.shape)}"
            )
        return self.codec.as_taken(sounds)

    def _each(self, function: Callable[[Any, Tensor], Tensor], batch: Tensor) -> Tensor:
        """`function` of each item by itself: long sounds take much memory."""
        device, dtype = self.policy.vae_device, self.network.dtype
        with self.policy.using(self.network, device) as network:
            made = [
                function(network, item[None].to(device, dtype)).to("cpu", torch.float32)
                for item in batch
            ]
        return torch.cat(made)

    def _or_in_pieces(
        self, whole: Callable[[Tensor], Tensor], pieces: Callable[[Tensor], Tensor], data: Tensor
    ) -> Tensor:
        relief = NetworkRelief(self.policy.residents, self.network, self.policy.vae_device)
        return whole_or_in_tiles(lambda: whole(data), lambda: pieces(data), relief)
