"""The autoencoder of films of MiniMax-H3 from a file, against diffusers and its modular blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLMiniMaxH3
from diffusers.modular_pipelines.minimax_h3.encoders import encode_vae_condition
from diffusers.modular_pipelines.minimax_h3.modular_pipeline import video_latent_num_frames
from torch import Tensor

from models.errors import UnsupportedLayout
from models.families.minimax_h3_video_vae import minimax_h3_config
from models.film.vae import FilmVaeHandle
from models.load import vae_of
from models.memory import Policy
from models.model_files import vae_tensors
from models.weights import Weights
from tests.models.conftest import policy

__all__ = ["policy"]

CHANNELS = 24
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def tiny() -> Any:
    """An autoencoder of diffusers with random weights and statistics."""
    chance = torch.Generator().manual_seed(1)
    network = AutoencoderKLMiniMaxH3(
        block_out_channels=(32, 32, 32, 32, 32), layers_per_block=1,
        spatial_downsample_factors=(2, 2, 2, 2, 1), temporal_downsample_factors=(1, 2, 2, 1, 1),
        decoder_num_layers=1, decoder_num_attention_heads=1,
        latents_mean=torch.randn(CHANNELS, generator=chance).tolist(),
        latents_std=(torch.rand(CHANNELS, generator=chance) + 0.5).tolist(),
    ).eval()  # fmt: skip
    for parameter in network.parameters():
        parameter.data.normal_(0, 0.05, generator=chance)
    return network.requires_grad_(False)


def weights(network: Any, prefix: str = "") -> Weights:
    """Those of a file, which states the statistics."""
    found = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    for name in ("latents_mean", "latents_std"):
        found[prefix + name] = torch.tensor(network.config[name])
    return Weights(path=Path("h3"), tensors=found)


def loaded(network: Any, policy: Policy, prefix: str = "") -> FilmVaeHandle:
    made = vae_of(weights(network, prefix), policy)
    assert isinstance(made, FilmVaeHandle)
    return made


def film(frames: int, width: int = 48, height: int = 32) -> Tensor:
    """Frames of 256 levels, as files have them."""
    chance = torch.Generator().manual_seed(1)
    return torch.randint(256, (frames, height, width, 3), generator=chance) / 255


@pytest.mark.parametrize("frames", [1, 5, 22])
def test_films_are_given_to_the_transformer_as_by_diffusers(frames: int, policy: Policy) -> None:
    network, pixels = tiny(), film(frames)
    wanted = encode_vae_condition(
        network, (pixels * 255).round().to(torch.uint8).movedim(-1, 0)[None], MEAN, DEVIATION
    )
    vae = loaded(network, policy)
    latent = vae.encode(pixels)
    assert latent.shape[2] == vae.layout.latent_frames(frames)
    assert torch.allclose(latent, wanted, atol=2e-3)  # both were rounded to halves


@pytest.mark.parametrize("frames", [7, 12])
def test_latents_are_decoded_as_by_diffusers(frames: int, policy: Policy) -> None:
    network = tiny()
    latent = torch.randn(1, CHANNELS, frames, 2, 3, generator=torch.Generator().manual_seed(3))
    mean, deviation = (
        torch.tensor(network.config[name]).view(1, -1, 1, 1, 1)
        for name in ("latents_mean", "latents_std")
    )
    decoded = network.decode(latent * deviation + mean, return_dict=False)[0]
    colours = [torch.tensor(values).view(3, 1, 1, 1) for values in (DEVIATION, MEAN)]
    wanted = (decoded[0] * colours[0] + colours[1]).clamp(0, 1).movedim(0, -1)
    pictures = loaded(network, policy, "vae.").decode(latent)
    assert pictures.shape[0] == (frames - 2) // 5 * 17 + 5
    assert torch.allclose(pictures, wanted, atol=1e-5)


def test_short_films_go_on_with_their_last_frame_and_are_cut(policy: Policy) -> None:
    vae = loaded(tiny(), policy)
    latent = torch.randn(1, CHANNELS, 2, 2, 3, generator=torch.Generator().manual_seed(3))
    longer = torch.cat([latent, latent[:, :, -1:].expand(-1, -1, 5, -1, -1)], dim=2)
    assert torch.equal(vae.decode(latent), vae.decode(longer)[:5])
    assert vae.decode(latent[:, :, :1]).shape == (1, 32, 48, 3)


def test_what_is_saved_has_the_statistics(policy: Policy) -> None:
    network = tiny()
    saved = vae_tensors(loaded(network, policy))
    wanted = weights(network).tensors
    assert saved.keys() == wanted.keys()
    assert all(torch.equal(saved[name], wanted[name]) for name in wanted)


def test_lengths_are_those_of_clips(policy: Policy) -> None:
    layout = loaded(tiny(), policy).layout
    for length in (5, 22, 124):
        assert layout.latent_frames(length) == video_latent_num_frames(length, 17, 5)
        assert layout.whole_frames(length + 3) == length
    assert (layout.latent_frames(1), layout.whole_frames(1), layout.whole_frames(3)) == (1, 1, 3)
    assert layout.latent_frames(123) == layout.latent_frames(124)


def test_the_published_configuration_is_seen_from_shapes() -> None:
    with torch.device("meta"):
        made = AutoencoderKLMiniMaxH3()
    found = minimax_h3_config(Weights(path=Path("h3"), tensors=dict(made.state_dict())))
    assert found == {name: made.config[name] for name in found}


def test_large_films_are_made_in_tiles_of_the_asked_size(policy: Policy) -> None:
    vae = loaded(tiny(), policy)
    latent = torch.randn(1, CHANNELS, 2, 8, 10, generator=torch.Generator().manual_seed(3))
    whole, tiled = vae.decode(latent), vae.decode_tiled(latent, 4, 4, 2)
    assert whole.shape == tiled.shape == (5, 128, 160, 3)
    assert not torch.equal(whole, tiled)
    assert torch.equal(vae.decode(latent), whole)  # the setting is undone
    assert vae.encode_tiled(film(5, 160, 128), 64, 64, 64).shape == latent.shape


def test_other_decoders_are_refused() -> None:
    found = dict(weights(tiny()).tensors)
    found["decoder.register_tokens"] = torch.zeros(1, 4, 40)
    with pytest.raises(UnsupportedLayout, match="not that of MiniMax-H3"):
        minimax_h3_config(Weights(path=Path("h3"), tensors=found))
