"""Autoencoders of 16 channels, as of Stable Diffusion 3 and Flux: without quant convolutions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL

from models.load import vae_of
from models.memory import Policy
from models.model_files import model_metadata, vae_tensors
from models.previews import LatentColours, latent_preview
from models.protocol.latent_formats import SD3, with_colours
from models.vae import VaeHandle
from models.weights import Weights, open_weights
from tests.models.tiny import save


@pytest.fixture(scope="module")
def network() -> AutoencoderKL:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return AutoencoderKL(
            latent_channels=16,
            block_out_channels=(8, 8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            norm_num_groups=4,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ).eval()


@pytest.fixture(scope="module")
def vae(network: AutoencoderKL, policy: Policy) -> VaeHandle:
    config = {"darkroom.config": '{"vae": {"norm_num_groups": 4}}'}
    tensors = network.state_dict()
    vae = vae_of(Weights(path=Path("a"), tensors=tensors, metadata=config), policy)
    assert isinstance(vae, VaeHandle)
    return vae


def test_it_is_what_diffusers_evaluates(network: AutoencoderKL, vae: VaeHandle) -> None:
    latent, picture = torch.randn(1, 16, 3, 4), torch.rand(1, 24, 16, 3)
    with torch.no_grad():
        decoded = network.decode(latent).sample.add(1).div(2).clamp(0, 1).movedim(1, -1)
        encoded = network.encode(picture.movedim(-1, 1) * 2 - 1).latent_dist.mean
    assert vae.latent_channels == 16
    assert torch.allclose(vae.decode(latent), decoded, atol=1e-5)
    assert torch.allclose(vae.encode(picture), encoded, atol=1e-5)


def test_a_saved_file_is_in_the_original_layout_and_loads_again(
    vae: VaeHandle, tmp_path: Path, policy: Policy
) -> None:
    tensors = vae_tensors(vae)
    assert "decoder.mid.attn_1.proj_out.weight" in tensors
    assert not any("quant_conv" in name for name in tensors)
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    path = save(tmp_path / "v.safetensors", contiguous, {"vae": {"norm_num_groups": 4}})
    latent = torch.randn(1, 16, 2, 3)
    again = vae_of(open_weights(path), policy)
    assert torch.equal(again.decode(latent), vae.decode(latent))
    assert "norm_num_groups" in model_metadata(vae=vae)["darkroom.config"]


def test_it_works_in_tiles(vae: VaeHandle) -> None:
    latent = torch.full((1, 16, 12, 24), 0.2)
    tiled = vae.decode_tiled(latent, tile_x=16, tile_y=16, overlap=8)
    assert tiled.shape == (1, 96, 192, 3)
    # Attention in its middle sees more in a whole picture than in a tile.
    assert (tiled - vae.decode(latent)).abs().mean() < 0.1
    encoded = vae.encode_tiled(torch.rand(1, 96, 192, 3), tile_x=128, tile_y=128, overlap=32)
    assert encoded.shape == (1, 16, 12, 24)


def test_previews_have_a_colour_for_each_channel(vae: VaeHandle) -> None:
    latents = SD3()
    colours = LatentColours(vae, latents)
    assert colours.weights.shape == (17, 3)
    latent = latents.scale_in(vae.encode(torch.rand(1, 32, 48, 3)))
    picture = latent_preview(latent, colours)
    assert picture is not None
    assert picture.size == (48, 32)
    seen = with_colours(latents, colours)
    assert seen.latent_rgb_factors is not None
    assert len(seen.latent_rgb_factors) == 16
    assert isinstance(seen, SD3)
