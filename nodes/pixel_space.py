"""A VAE for models that work on pixels: its latents are the pictures, scaled to -1..1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor

from models.vae import VaeHandle


@dataclass(frozen=True)
class PixelSpaceVae:
    """Stands where a VaeHandle may stand."""

    downscale: int = 1
    latent_channels: int = 3

    def decode(self, samples: Tensor) -> Tensor:
        """[B, 3, H, W] in -1..1 to pictures [B, H, W, 3] in 0..1."""
        return samples.movedim(1, -1).add(1).div(2).clamp(0, 1)

    def encode(self, pixels: Tensor) -> Tensor:
        """Pictures [B, H, W, C >= 3] in 0..1 to [B, 3, H, W] in -1..1."""
        return pixels[..., :3].movedim(-1, 1) * 2 - 1

    def crop(self, pixels: Tensor) -> Tensor:
        """Every size is fine."""
        return pixels


Vae: TypeAlias = VaeHandle | PixelSpaceVae  # of pictures
