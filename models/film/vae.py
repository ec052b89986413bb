"""FilmVaeHandle: what flows through VAE sockets where an autoencoder is one of films."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional

from models.errors import InvalidInput
from models.film.layout import FilmLayout
from models.film.tiling import Tile, in_tiles
from models.network import Network
from models.vae import VaeHandle

_SIDE: Final = 64  # latent elements of a tile, where nobody says how many
_OVERLAP: Final = 16


@dataclass(frozen=True, kw_only=True)
class FilmVaeHandle(VaeHandle):
    """A reference to a loaded autoencoder of films, which takes pictures for films of one frame."""

    network: Network[Any]
    layout: FilmLayout

    latent_dim = 3
    not_video = False

    @property
    def downscale(self) -> int:
        """Pixels per latent element along each side."""
        return self.layout.scale

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return self.layout.channels

    def temporal_compression_decode(self) -> int | None:
        """Frames per latent frame."""
        return self.layout.frames

    def decode_whole(self, samples: Tensor) -> Tensor:
        """Latents [B, C, t, h, w] to frames [B * T, H, W, 3], float32 in 0..1, on the CPU.

        Latents [B, C, h, w] are those of films of one frame. Raises InvalidInput for others, and
        torch.OutOfMemoryError.
        """
        films = samples[:, :, None] if samples.ndim == 4 else samples
        if films.ndim != 5 or films.shape[1] != self.latent_channels:
            raise InvalidInput(
                f"this VAE decodes latents of films of {self.latent_channels} channels, not of "
                f"shape {tuple(samples.shape)}"
            )
        with self._at_work() as vae:
            decoded = [
                self._decoded(vae, self.raw(film[None])).to("cpu", torch.float32) for film in films
            ]
        frames = [film[0].add(1).div(2).clamp(0, 1).movedim(0, -1) for film in decoded]  # t h w c
        return torch.cat(frames).contiguous()

    def encode_whole(self, pixels: Tensor) -> Tensor:
        """Frames [T, H, W, C >= 3] in 0..1 to latents [1, C, t, h, w], float32, on the CPU.

        Sides are cut around the centre, and frames at the end, to what the latent divides. Raises
        InvalidInput for other tensors, and torch.OutOfMemoryError.
        """
        if pixels.ndim != 4 or pixels.shape[-1] < 3:
            raise InvalidInput(f"a film must be [T, H, W, 3], not {tuple(pixels.shape)}")
        colours = self.layout.colours
        opaque = functional.pad(
            pixels[..., :colours], (0, max(0, colours - pixels.shape[-1])), value=1.0
        )
        whole = (
            opaque
            if self.layout.is_of_pictures
            else opaque[: self.layout.whole_frames(len(pixels))]
        )
        film = self.crop(whole).movedim(-1, 0)[None] * 2 - 1  # 1 c t h w
        films = film.unbind(2) if self.layout.is_of_pictures else ()
        parts = [part[:, :, None] for part in films] or [film]
        with self._at_work() as vae:
            latents = [self._encoded(vae, part).to("cpu", torch.float32) for part in parts]
        return self.normalised(torch.cat(latents)).contiguous()

    def raw(self, latent: Tensor) -> Tensor:
        """A latent of the network, of one of sockets [B, C, t, h, w]."""
        if not self.layout.is_normalised:
            return latent
        mean, deviation = self._statistics(latent)
        return latent * deviation + mean

    def normalised(self, latent: Tensor) -> Tensor:
        """A latent of sockets, of one of the network [B, C, t, h, w]."""
        if not self.layout.is_normalised:
            return latent
        mean, deviation = self._statistics(latent)
        return (latent - mean) / deviation

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the deviation of each channel [1, C, 1, 1, 1]."""
        mean, deviation = (
            self.network.stored(name).reshape(1, -1, 1, 1, 1).to(like)
            for name in ("latents_mean", "latents_std")
        )
        return mean, deviation

    def decode_tiled(
        self,
        samples: Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> Tensor:
        """`decode` in tiles of so many latent elements and frames, blended where they overlap.

        Networks that go from frame to frame by themselves have no tiles in time.
        """
        scale, frames = self.layout.scale, self.layout.frames
        tile = Tile(
            width=(tile_x or _SIDE) * scale,
            height=(tile_y or _SIDE) * scale,
            overlap=(_OVERLAP if overlap is None else overlap) * scale,
            frames=None if tile_t is None else tile_t * frames,
            frame_overlap=(overlap_t or 0) * frames,
        )
        with in_tiles(self.network.module, tile, scale):
            return self.decode_whole(samples)

    def encode_tiled(
        self,
        pixel_samples: Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> Tensor:
        """`encode` in tiles of so many pixels and frames, blended where they overlap."""
        scale = self.layout.scale
        side, shared = _SIDE * scale, _OVERLAP * scale
        tile = Tile(
            width=(tile_x or side) // scale * scale,
            height=(tile_y or side) // scale * scale,
            overlap=(shared if overlap is None else overlap) // scale * scale,
            frames=tile_t,
            frame_overlap=overlap_t or 0,
        )
        with in_tiles(self.network.module, tile, scale):
            return self.encode_whole(pixel_samples)

    def decode_tiled_(
        self, samples: Tensor, tile_x: int = 64, tile_y: int = 64, overlap: int = 16
    ) -> Tensor:
        """`decode_tiled` with channels first, [1, 3, T, H, W]."""
        return self.decode_tiled(samples, tile_x, tile_y, overlap).movedim(-1, 0)[None]

    def encode_tiled_(
        self, pixel_samples: Tensor, tile_x: int = 512, tile_y: int = 512, overlap: int = 64
    ) -> Tensor:
        """`encode_tiled` of pixels with channels first, [1, 3, T, H, W]."""
        return self.encode_tiled(pixel_samples[0].movedim(0, -1), tile_x, tile_y, overlap)

    @contextmanager
    def _at_work(self) -> Iterator[Any]:
        """The network where it computes.

        Those that go from frame to frame keep what they have seen, which diffusers lets go of at
        the end of a film only: here also when memory runs out on the way, or somebody ends it.
        """
        with self.policy.using(self.network, self.policy.vae_device) as vae:
            try:
                yield vae
            finally:
                if hasattr(vae, "clear_cache"):
                    vae.clear_cache()

    def _decoded(self, vae: Any, batch: Tensor) -> Tensor:
        """Latents of the network to films [B, 3, T, H, W] in -1..1."""
        films: Tensor = vae.decode(self._placed(batch), return_dict=False)[0]
        return films

    def _placed(self, batch: Tensor) -> Tensor:
        return batch.to(self.policy.vae_device, self.network.dtype)
