"""VaeHandle: what flows through VAE sockets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.errors import InvalidInput
from models.memory import Policy
from models.network import Network
from models.out_of_memory import NetworkRelief, whole_or_in_tiles
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
        """Raw latents [B, C, h, w] to pictures [B, H, W, 3], float32 in 0..1, on the CPU.

        What does not fit into the device's memory as a whole is decoded in tiles.
        """
        return self._or_in_tiles(self.decode_whole, self.decode_tiled, samples)

    def decode_whole(self, samples: Tensor) -> Tensor:
        """`decode` without tiles; raises torch.OutOfMemoryError."""
        if samples.ndim != 4 or samples.shape[1] != self.latent_channels:
            raise InvalidInput(
                f"this VAE decodes latents of {self.latent_channels} channels, "
                f"not of shape {tuple(samples.shape)}"
            )
        with self.policy.using(self.network, self.policy.vae_device) as vae:
            pictures = [
                self._decoded(vae, sample[None]).to("cpu", torch.float32).add(1).div(2).clamp(0, 1)
                for sample in samples
            ]
        return torch.cat(pictures).movedim(1, -1).clone(memory_format=torch.contiguous_format)

    def encode(self, pixels: Tensor) -> Tensor:
        """Pictures [B, H, W, C >= 3] in 0..1 to raw latents [B, C, h, w], float32, on the CPU.

        Sides are cut to multiples of `downscale` around the centre; the mean is taken. What does
        not fit into the device's memory as a whole is encoded in tiles.
        """
        return self._or_in_tiles(self.encode_whole, self.encode_tiled, pixels)

    def encode_whole(self, pixels: Tensor) -> Tensor:
        """`encode` without tiles; raises torch.OutOfMemoryError."""
        if pixels.ndim != 4 or pixels.shape[-1] < 3:
            raise InvalidInput(f"a picture must be [B, H, W, 3], not {tuple(pixels.shape)}")
        images = self.crop(pixels)[..., :3].movedim(-1, 1) * 2 - 1  # b c h w
        with self.policy.using(self.network, self.policy.vae_device) as vae:
            latents = [self._encoded(vae, image[None]).to("cpu", torch.float32) for image in images]
        return torch.cat(latents).clone(memory_format=torch.contiguous_format)

    def crop(self, pixels: Tensor) -> Tensor:
        """The largest centred part [B, H, W, C] whose sides are multiples of `downscale`."""
        for axis in (1, 2):
            size = pixels.shape[axis] // self.downscale * self.downscale
            if size == 0:
                raise InvalidInput(f"a picture must have {self.downscale} pixels along each side")
            pixels = pixels.narrow(axis, (pixels.shape[axis] - size) // 2, size)
        return pixels

    def _decoded(self, vae: Any, batch: Tensor) -> Tensor:
        """Raw latents to pictures [B, 3, H, W] in -1..1."""
        pictures: Tensor = vae.decode(self._placed(batch), return_dict=False)[0]
        return pictures

    def _encoded(self, vae: Any, batch: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] in -1..1 to raw latents."""
        latents: Tensor = vae.encode(self._placed(batch), return_dict=False)[0].mean
        return latents

    def _placed(self, batch: Tensor) -> Tensor:
        network = self.network
        return batch.to(
            self.policy.vae_device, network.dtype, memory_format=network.memory_format()
        )

    def _or_in_tiles(
        self, whole: Callable[[Tensor], Tensor], tiled: Callable[[Tensor], Tensor], data: Tensor
    ) -> Tensor:
        relief = NetworkRelief(self.policy.residents, self.network, self.policy.vae_device)
        return whole_or_in_tiles(lambda: whole(data), lambda: tiled(data), relief)
