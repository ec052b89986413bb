"""What packs see of a VAE: devices, ratios, tiles, and the network inside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from models.memory import Policy
from models.protocol.network_patcher import NetworkPatcher
from models.tiles import scale_in_tiles


class LoadedVae:
    """What packs see of any VAE that has a network."""

    network: Any
    policy: Policy

    @property
    def first_stage_model(self) -> Any:
        """The network."""
        return self.network.module

    @property
    def patcher(self) -> NetworkPatcher:
        """The patcher of its weights."""
        return NetworkPatcher(self.network, self.policy.vae_device)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.policy.vae_device

    @property
    def output_device(self) -> torch.device:
        """Where results lie."""
        return torch.device("cpu")

    @property
    def vae_dtype(self) -> torch.dtype:
        """The number type it computes in."""
        dtype: torch.dtype = self.network.dtype
        return dtype

    def throw_exception_if_invalid(self) -> None:
        """Nothing: a file that is no VAE is refused when it is loaded."""

    def get_sd(self) -> Mapping[str, Tensor]:
        """The weights."""
        sd: Mapping[str, Tensor] = self.network.module.state_dict()
        return sd


class VaeProtocol(LoadedVae):
    """Mixed into VaeHandle."""

    downscale: Any
    latent_channels: Any
    decode_whole: Callable[..., Tensor]
    encode_whole: Callable[..., Tensor]
    crop: Callable[[Tensor], Tensor]

    latent_dim = 2
    output_channels = 3
    not_video = True
    crop_input = True

    @property
    def downscale_ratio(self) -> int:
        """Pixels per latent element along each side."""
        return int(self.downscale)

    @property
    def upscale_ratio(self) -> int:
        """Pixels per latent element along each side."""
        return int(self.downscale)

    def spacial_compression_decode(self) -> int:
        """Pixels per latent element along each side."""
        return int(self.downscale)

    def spacial_compression_encode(self) -> int:
        """Pixels per latent element along each side."""
        return int(self.downscale)

    def temporal_compression_decode(self) -> int | None:
        """Frames per latent frame; None for pictures."""
        return None

    def process_input(self, image: Tensor) -> Tensor:
        """Pixels as the network takes them."""
        return image * 2 - 1

    def process_output(self, image: Tensor) -> Tensor:
        """Pixels from what the network gives."""
        return ((image + 1) / 2).clamp(0, 1)

    def vae_encode_crop_pixels(self, pixels: Tensor) -> Tensor:
        """The largest centred part whose sides fit."""
        return self.crop(pixels)

    def decode_tiled(
        self,
        samples: Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> Tensor:
        """`decode` in tiles of so many latent elements, blended where they overlap."""
        pictures = scale_in_tiles(
            samples,
            lambda tile: self.decode_whole(tile).movedim(-1, 1),
            tile=(tile_y or 64, tile_x or 64),
            overlap=16 if overlap is None else overlap,
            scale=(self.downscale, 1),
        )
        return pictures.movedim(1, -1)

    def encode_tiled(
        self,
        pixel_samples: Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> Tensor:
        """`encode` in tiles of so many pixels, blended where they overlap."""
        ratio = int(self.downscale)
        return scale_in_tiles(
            self.crop(pixel_samples)[..., :3].movedim(-1, 1),
            lambda tile: self.encode_whole(tile.movedim(1, -1)),
            tile=tuple((side or 512) // ratio * ratio for side in (tile_y, tile_x)),
            overlap=(64 if overlap is None else overlap) // ratio * ratio,
            scale=(1, ratio),
        )

    def decode_tiled_(
        self, samples: Tensor, tile_x: int = 64, tile_y: int = 64, overlap: int = 16
    ) -> Tensor:
        """`decode_tiled` with channels first."""
        return self.decode_tiled(samples, tile_x, tile_y, overlap).movedim(-1, 1)

    def encode_tiled_(
        self, pixel_samples: Tensor, tile_x: int = 512, tile_y: int = 512, overlap: int = 64
    ) -> Tensor:
        """`encode_tiled` of pixels with channels first."""
        return self.encode_tiled(pixel_samples.movedim(1, -1), tile_x, tile_y, overlap)

    def memory_used_decode(self, shape: Any, dtype: torch.dtype) -> int:
        """Bytes that decoding a latent of this shape needs, roughly."""
        return int(2178 * shape[-1] * shape[-2] * 64 * dtype.itemsize)

    def memory_used_encode(self, shape: Any, dtype: torch.dtype) -> int:
        """Bytes that encoding pixels of this shape needs, roughly."""
        return int(1767 * shape[-1] * shape[-2] * dtype.itemsize)
