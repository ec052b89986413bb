"""What packs see of an autoencoder of sounds: as of any VAE, with samples [B, T, C] for pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from models.protocol.vae import LoadedVae


class AudioVaeProtocol(LoadedVae):
    """Mixed into AudioVaeHandle."""

    codec: Any
    decode_sound: Callable[[Tensor], Tensor]
    encode_sound: Callable[[Tensor], Tensor]
    decode_sound_in_pieces: Callable[..., Tensor]
    encode_sound_in_pieces: Callable[..., Tensor]

    not_video = True
    crop_input = False

    def decode(self, samples: Tensor) -> Tensor:
        """Latents to sounds [B, T, C]."""
        return self.decode_sound(samples).movedim(1, -1)

    def encode(self, pixels: Tensor) -> Tensor:
        """Sounds [B, T, C] of `audio_sample_rate` to latents."""
        return self.encode_sound(pixels.movedim(-1, 1))

    def decode_tiled(
        self, samples: Tensor, tile_x: int | None = None, overlap: int | None = None, **_: Any
    ) -> Tensor:
        """`decode` in pieces of so many frames of latents."""
        said = {"piece": tile_x, "overlap": overlap}
        given = {name: value for name, value in said.items() if value is not None}
        return self.decode_sound_in_pieces(samples, **given).movedim(1, -1)

    def encode_tiled(
        self, pixel_samples: Tensor, tile_x: int | None = None, overlap: int | None = None, **_: Any
    ) -> Tensor:
        """`encode` in pieces of so many samples."""
        said = {"piece": tile_x, "overlap": overlap}
        given = {k: max(1, v // self.downscale_ratio) for k, v in said.items() if v is not None}
        return self.encode_sound_in_pieces(pixel_samples.movedim(-1, 1), **given)

    @property
    def audio_sample_rate(self) -> int:
        """Hz of sounds that are encoded."""
        return int(self.codec.sample_rate)

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return int(self.codec.latent_channels)

    @property
    def latent_dim(self) -> int:
        """Axes of a latent behind its channels."""
        return 1 + len(self.codec.bands)

    @property
    def output_channels(self) -> int:
        """Channels of a sound."""
        return int(self.codec.channels)

    @property
    def downscale_ratio(self) -> int:
        """Samples that one frame of a latent stands for."""
        return int(self.codec.hop)

    @property
    def upscale_ratio(self) -> int:
        """Samples of a decoded sound that one frame of a latent stands for."""
        return int(self.codec.output_hop)

    def spacial_compression_decode(self) -> int:
        """As `upscale_ratio`."""
        return self.upscale_ratio

    def spacial_compression_encode(self) -> int:
        """As `downscale_ratio`."""
        return self.downscale_ratio

    def temporal_compression_decode(self) -> int | None:
        """None: there are no frames of pictures."""
        return None

    def process_input(self, image: Tensor) -> Tensor:
        """Samples as the network takes them: as they are."""
        return image

    def process_output(self, image: Tensor) -> Tensor:
        """Samples from what the network gives: as they are."""
        return image

    def vae_encode_crop_pixels(self, pixels: Tensor) -> Tensor:
        """All samples: the end is filled up, not cut."""
        return pixels

    def memory_used_decode(self, shape: Any, dtype: torch.dtype) -> int:
        """Bytes that decoding a latent of this shape needs, roughly."""
        return int(shape[2] * self.upscale_ratio * 512 * dtype.itemsize)

    def memory_used_encode(self, shape: Any, dtype: torch.dtype) -> int:
        """Bytes that encoding sounds [B, T, C] of this shape needs, roughly."""
        return int(shape[1] * 512 * dtype.itemsize)
