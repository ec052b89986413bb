"""VaeHandle: what flows through VAE sockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network
from models.protocol.vae import VaeProtocol

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


@dataclass(frozen=True, kw_only=True)
class VaeHandle(VaeProtocol):
    """A reference to a loaded autoencoder."""

    network: Network[AutoencoderKL]
    policy: Policy

    @property
    def downscale(self) -> int:
        """Pixels per latent element along each side."""
        return int(2 ** (len(self.network.module.config.block_out_channels) - 1))

    @property
    def latent_channels(self) -> int:
        """Channels of a latent."""
        return int(self.network.module.config.latent_channels)

    def decode(self, samples: Tensor) -> Tensor:
        """Raw latents [B, C, h, w] to pictures [B, H, W, 3], float32 in 0..1, on the CPU."""
        if samples.ndim != 4 or samples.shape[1] != self.latent_channels:
            raise InvalidInput(
                f"this VAE decodes latents of {self.latent_channels} channels, "
                f"not of shape {tuple(samples.shape)}"
            )
        device = self.policy.vae_device
        with self.policy.using(self.network, device) as vae:
            pictures = [
                vae.decode(sample[None].to(device, self.network.dtype), return_dict=False)[0]
                .to("cpu", torch.float32)
                .add(1)
                .div(2)
                .clamp(0, 1)
                for sample in samples
            ]
        return torch.cat(pictures).movedim(1, -1).clone()

    def encode(self, pixels: Tensor) -> Tensor:
        """Pictures [B, H, W, C >= 3] in 0..1 to raw latents [B, C, h, w], float32, on the CPU.

        Sides are cut to multiples of `downscale` around the centre; the mean is taken.
        """
        if pixels.ndim != 4 or pixels.shape[-1] < 3:
            raise InvalidInput(f"a picture must be [B, H, W, 3], not {tuple(pixels.shape)}")
        images = self.crop(pixels)[..., :3].movedim(-1, 1) * 2 - 1  # b c h w
        device = self.policy.vae_device
        with self.policy.using(self.network, device) as vae:
            latents = [
                vae.encode(image[None].to(device, self.network.dtype), return_dict=False)[0]
                .mean.to("cpu", torch.float32)
                .clone()
                for image in images
            ]
        return torch.cat(latents).clone()

    def crop(self, pixels: Tensor) -> Tensor:
        """The largest centred part [B, H, W, C] whose sides are multiples of `downscale`."""
        for axis in (1, 2):
            size = pixels.shape[axis] // self.downscale * self.downscale
            if size == 0:
                raise InvalidInput(f"a picture must have {self.downscale} pixels along each side")
            pixels = pixels.narrow(axis, (pixels.shape[axis] - size) // 2, size)
        return pixels
