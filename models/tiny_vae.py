"""TinyVaeHandle: a tiny autoencoder on a VAE socket, and the one that makes previews."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

from models.errors import InvalidInput, PartMissing
from models.families.tiny_vae import TINY, TinyFormat, build_tiny_vae
from models.memory import Policy
from models.network import Network
from models.vae import VaeHandle
from models.weights import open_weights

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny


@dataclass(frozen=True, kw_only=True)
class TinyVaeHandle(VaeHandle):
    """Quick and small; its network works on latents in model space."""

    network: Network[AutoencoderTiny]
    format: TinyFormat

    @property
    def downscale(self) -> int:
        """Pixels per latent element along each side."""
        return int(2 ** (len(self.network.module.config.decoder_block_out_channels) - 1))

    def _decoded(self, vae: Any, batch: Tensor) -> Tensor:
        scaled = (batch - self.format.shift) * self.format.scale
        pictures: Tensor = vae.decode(self._placed(scaled), return_dict=False)[0]
        return pictures

    def _encoded(self, vae: Any, batch: Tensor) -> Tensor:
        if vae.encoder is None:
            raise InvalidInput("this tiny autoencoder has only a decoder")
        latents: Tensor = vae.encode(self._placed(batch), return_dict=False)[0]
        return latents / self.format.scale + self.format.shift


def tiny_file(folders: Sequence[Path], start: str) -> Path | None:
    """The file of vae_approx folders whose name starts so."""
    for folder in folders:
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.name.startswith(start) and path.is_file():
                    return path
    return None


def load_tiny_vae(name: str, folders: Sequence[Path], policy: Policy) -> TinyVaeHandle:
    """The tiny autoencoder of a name in TINY. Raises PartMissing without its files."""
    decoder, encoder = (tiny_file(folders, f"{name}_{half}") for half in ("decoder", "encoder"))
    if decoder is None:
        raise PartMissing(Path("vae_approx"), f"file '{name}_decoder'")
    opened = None if encoder is None else open_weights(encoder)
    network = build_tiny_vae(open_weights(decoder), opened, torch.float32)
    return TinyVaeHandle(network=network, policy=policy, format=TINY[name])


@dataclass(frozen=True, kw_only=True)
class TinyPreview:
    """Draws latents in model space with a tiny decoder."""

    network: Network[AutoencoderTiny]
    policy: Policy

    def __call__(self, latent: Tensor) -> Image.Image:
        """The first of the latents [B, C, h, w] as a picture of its decoded size."""
        first = latent[:1].detach().to(self.policy.vae_device, self.network.dtype)
        with self.policy.using(self.network, self.policy.vae_device) as vae:
            decoded = vae.decode(first, return_dict=False)[0][0]
        pixels = decoded.cpu().float().add(1).div(2).clamp(0, 1).mul(255).round().byte()
        return Image.fromarray(pixels.movedim(0, -1).contiguous().numpy())


def load_tiny_decoder(path: Path, policy: Policy) -> TinyPreview:
    """The decoder of a file that holds nothing else. Raises ModelFileError."""
    network = build_tiny_vae(open_weights(path), None, torch.float32)
    return TinyPreview(network=network, policy=policy)
