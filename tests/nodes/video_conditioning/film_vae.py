"""Small VAEs of films with random weights, as nodes and as diffusers' pipelines take them."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from nodes.pixel_space import Vae


class _FilmVae:
    """Encodes frames [T, H, W, 3] in 0..1 to a raw latent [1, C, t, h, w]: the mean."""

    def __init__(self, network: Any, downscale: int, latent_channels: int) -> None:
        self.network = network
        self.downscale = downscale
        self.latent_channels = latent_channels

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """As VaeHandle.encode."""
        batch = pixels.movedim(-1, 0)[None] * 2 - 1
        latent: Tensor = self.network.encode(batch).latent_dist.mode()
        return latent


def as_vae(network: Any) -> Vae:
    """What a VAE socket would carry."""
    config = network.config
    channels = config.get("z_dim") or config.latent_channels
    scale = config.get("scale_factor_spatial") or network.spatial_compression_ratio
    return cast(Vae, _FilmVae(network, scale, channels))


def wan_vae() -> Any:
    """16 channels, 8 pixels and 4 frames an element."""
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    return AutoencoderKLWan(
        base_dim=4,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    ).eval()


def hunyuan_vae() -> Any:
    """16 channels, 8 pixels and 4 frames an element."""
    from diffusers import AutoencoderKLHunyuanVideo

    torch.manual_seed(0)
    return AutoencoderKLHunyuanVideo(
        latent_channels=16,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        norm_num_groups=4,
    ).eval()


def hunyuan15_vae() -> Any:
    """32 channels, 16 pixels and 4 frames an element."""
    from diffusers import AutoencoderKLHunyuanVideo15

    torch.manual_seed(0)
    return AutoencoderKLHunyuanVideo15(
        block_out_channels=(32, 32, 32, 64, 64), layers_per_block=1
    ).eval()


def wan22_vae() -> Any:
    """48 channels, 16 pixels and 4 frames an element."""
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    return AutoencoderKLWan(
        base_dim=4,
        z_dim=48,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        in_channels=12,
        out_channels=12,
        patch_size=2,
        is_residual=True,
        scale_factor_spatial=16,
    ).eval()


def ltx_vae() -> Any:
    """128 channels, 32 pixels and 8 frames an element."""
    from diffusers import AutoencoderKLLTXVideo

    torch.manual_seed(0)
    return AutoencoderKLLTXVideo(
        latent_channels=128,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
    ).eval()


def picture(count: int, width: int, height: int, seed: int = 0) -> Tensor:
    """Random frames."""
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(seed))
