"""Nodes between pictures and latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.joint_latent import film_of
from models.vae import VaeHandle
from nodes.base import Node, inputs
from nodes.missing_parts import AnyVae, need_vae
from nodes.pixel_space import PixelSpaceVae, Vae


class VAEDecode(Node):
    """Turns a latent into pictures."""

    DISPLAY_NAME = "VAE Decode"
    CATEGORY = "latent"
    REQUIRED = inputs(samples=("LATENT", {}), vae=("VAE", {}))
    RETURN_TYPES = ("IMAGE",)

    def run(self, vae: AnyVae | None, samples: Mapping[str, Any]) -> tuple[Tensor]:
        """[B, H, W, 3] in 0..1. Of a film with its sound, the film is taken."""
        return (need_vae(vae).decode(film_of(samples["samples"])),)


class VAEEncode(Node):
    """Turns pictures into a latent."""

    DISPLAY_NAME = "VAE Encode"
    CATEGORY = "latent"
    REQUIRED = inputs(pixels=("IMAGE",), vae=("VAE",))
    RETURN_TYPES = ("LATENT",)

    def run(self, vae: AnyVae | None, pixels: Tensor) -> tuple[dict[str, Any]]:
        """Sides are cut to what the VAE divides."""
        return ({"samples": need_vae(vae).encode(pixels)},)


class VAEEncodeForInpaint(Node):
    """Encodes pictures whose masked part is to be painted anew."""

    DISPLAY_NAME = "VAE Encode (for Inpainting)"
    CATEGORY = "latent/inpaint"
    REQUIRED = inputs(
        pixels=("IMAGE",),
        vae=("VAE",),
        mask=("MASK",),
        grow_mask_by=("INT", {"default": 6, "min": 0, "max": 64, "step": 1}),
    )
    RETURN_TYPES = ("LATENT",)

    def run(
        self, vae: AnyVae | None, pixels: Tensor, mask: Tensor, grow_mask_by: int = 6
    ) -> tuple[dict[str, Any]]:
        """The masked part becomes grey; the noise mask is the mask, grown by a box."""
        encoder = need_vae(vae)
        grey, fitted = greyed(encoder, pixels, mask)
        noise_mask = _grown(fitted.round(), grow_mask_by)
        return ({"samples": encoder.encode(grey), "noise_mask": noise_mask},)


def greyed(vae: Vae, pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures [B, H, W, 3] that are grey under a mask, and the mask [B, 1, H, W] in their size."""
    flat = mask.reshape(-1, 1, *mask.shape[-2:])
    fitted = functional.interpolate(flat, size=pixels.shape[1:3], mode="bilinear")
    cropped = vae.crop(fitted.movedim(1, -1))  # [B, H, W, 1]
    kept = 1 - cropped.round()
    return (vae.crop(pixels)[..., :3] - 0.5) * kept + 0.5, cropped.movedim(-1, 1)


def _grown(mask: Tensor, size: int) -> Tensor:
    """A mask [B, 1, H, W] of zeros and ones after dilation by a box of that size."""
    if size == 0:
        return mask
    grown = functional.max_pool2d(mask, size, stride=1, padding=size // 2)
    return torch.narrow(grown, 2, 0, mask.shape[2]).narrow(3, 0, mask.shape[3])


_TIME = ("INT", {"default": 64, "min": 8, "max": 4096, "step": 4})
_TIME_OVERLAP = ("INT", {"default": 8, "min": 4, "max": 4096, "step": 4})
_OVERLAP = ("INT", {"default": 64, "min": 0, "max": 4096, "step": 32})


def _overlap(tile_size: int, overlap: int) -> int:
    """At most a quarter of a tile: what is more would be computed over and over."""
    return min(overlap, tile_size // 4)


def _tiles_in_time(vae: VaeHandle, size: int, overlap: int, *, latent: bool) -> dict[str, int]:
    """How long tiles are, in frames or in latent frames, for a VAE of films."""
    frames = vae.temporal_compression_decode()
    if frames is None:
        return {}
    least = frames if not latent else 1
    unit = frames if latent else 1
    length = max(2 * least, size // unit)
    return {"tile_t": length, "overlap_t": min(max(least, overlap // unit), length // 2)}


class VAEDecodeTiled(Node):
    """Turns a latent into pictures, a tile at a time."""

    DISPLAY_NAME = "VAE Decode (Tiled)"
    CATEGORY = "_for_testing"
    REQUIRED = inputs(
        samples=("LATENT",),
        vae=("VAE",),
        tile_size=("INT", {"default": 512, "min": 64, "max": 4096, "step": 32}),
        overlap=_OVERLAP,
        temporal_size=_TIME,
        temporal_overlap=_TIME_OVERLAP,
    )
    RETURN_TYPES = ("IMAGE",)

    def run(
        self,
        vae: AnyVae | None,
        samples: Mapping[str, Any],
        tile_size: int,
        overlap: int = 64,
        temporal_size: int = 64,
        temporal_overlap: int = 8,
    ) -> tuple[Tensor]:
        """Sizes are in pixels; those in time are for videos. Of a film with its sound: the film."""
        decoder, latent = need_vae(vae), film_of(samples["samples"])
        if isinstance(decoder, PixelSpaceVae):
            return (decoder.decode(latent),)
        side = tile_size // decoder.downscale
        pictures = decoder.decode_tiled(
            latent,
            tile_x=side,
            tile_y=side,
            overlap=_overlap(tile_size, overlap) // decoder.downscale,
            **_tiles_in_time(decoder, temporal_size, temporal_overlap, latent=True),
        )
        return (pictures,)


class VAEEncodeTiled(Node):
    """Turns pictures into a latent, a tile at a time."""

    DISPLAY_NAME = "VAE Encode (Tiled)"
    CATEGORY = "_for_testing"
    REQUIRED = inputs(
        pixels=("IMAGE",),
        vae=("VAE",),
        tile_size=("INT", {"default": 512, "min": 64, "max": 4096, "step": 64}),
        overlap=_OVERLAP,
        temporal_size=_TIME,
        temporal_overlap=_TIME_OVERLAP,
    )
    RETURN_TYPES = ("LATENT",)

    def run(
        self,
        vae: AnyVae | None,
        pixels: Tensor,
        tile_size: int,
        overlap: int = 64,
        temporal_size: int = 64,
        temporal_overlap: int = 8,
    ) -> tuple[dict[str, Any]]:
        """Sizes are in pixels; those in time are for videos."""
        encoder = need_vae(vae)
        if isinstance(encoder, PixelSpaceVae):
            return ({"samples": encoder.encode(pixels)},)
        latent = encoder.encode_tiled(
            pixels,
            tile_x=tile_size,
            tile_y=tile_size,
            overlap=_overlap(tile_size, overlap),
            **_tiles_in_time(encoder, temporal_size, temporal_overlap, latent=False),
        )
        return ({"samples": latent},)
