"""How a family scales raw VAE latents into the space its denoiser works in."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class LatentFormat:
    """Latents in model space are ``(latent - shift) * scale``."""

    channels: int  # latent channels of the VAE
    scale: float = 1.0  # about 1 / standard deviation of raw latents
    shift: float = 0.0  # mean of raw latents

    def scale_in(self, latent: Tensor) -> Tensor:
        """Raw VAE units to model space."""
        return (latent - self.shift) * self.scale

    def scale_out(self, latent: Tensor) -> Tensor:
        """Model space to raw VAE units."""
        return latent / self.scale + self.shift
