"""Stable Audio's and ACE-Step's autoencoder: from files to sounds, as diffusers does it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderOobleck
from safetensors.torch import save_file
from torch import Tensor

from models.audio.vae import AudioVaeHandle
from models.errors import CheckpointUnreadable
from models.families.oobleck_vae import oobleck_config
from models.families.weight_norm import quietly
from models.load import load_vae
from models.memory import Policy
from models.model_files import model_metadata, vae_tensors
from models.weights import Weights
from tests.models.audio import tiny_sounds


@pytest.fixture(scope="module")
def network() -> AutoencoderOobleck:
    return tiny_sounds.oobleck()


def loaded(path: Path, tensors: dict[str, Tensor], policy: Policy) -> AudioVaeHandle:
    save_file(tensors, path)
    vae = load_vae(path, policy)
    assert isinstance(vae, AudioVaeHandle)
    return vae


def with_newer_norms(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As torch names directions and lengths of weights since 2.0."""
    words = {"weight_g": "parametrizations.weight.original0"}
    words["weight_v"] = "parametrizations.weight.original1"
    return {
        f"{owner}.{words.get(leaf, leaf)}": tensor
        for name, tensor in tensors.items()
        for owner, _, leaf in [name.rpartition(".")]
    }


@pytest.mark.parametrize("prefix", ["", "pretransform.model.", "vae.", "first_stage_model."])
@pytest.mark.parametrize("layout", ["diffusers", "stable-audio-tools", "newer norms"])
def test_files_in_each_layout_give_diffusers_latents_and_sounds(
    network: AutoencoderOobleck, layout: str, prefix: str, tmp_path: Path, policy: Policy
) -> None:
    tensors = tiny_sounds.tensors_of(network)
    if layout != "diffusers":
        tensors = tiny_sounds.of_stable_audio_tools(network)
    if layout == "newer norms":
        tensors = with_newer_norms(tensors)
    file = {prefix + name: tensor for name, tensor in tensors.items()}
    if prefix:
        file["model.diffusion_model.anything"] = torch.zeros(2)
    vae = loaded(tmp_path / "v.safetensors", file, policy)
    sounds = tiny_sounds.tone(0.02, 44100)[..., : 32 * 20]
    latents = vae.encode_sound(sounds)
    assert latents.shape == (1, 4, 20)
    assert torch.equal(latents, network.encode(sounds).latent_dist.mode())
    assert torch.equal(vae.decode_sound(latents), network.decode(latents).sample)


@pytest.mark.parametrize(
    ("ratios", "rate"), [([2, 4, 4, 8, 8], 44100), ([2, 4, 4, 6, 10], 48000), ([2, 2], 44100)]
)
def test_the_rate_follows_from_the_samples_that_a_frame_stands_for(
    ratios: list[int], rate: int
) -> None:
    multiples = [1, 1, 1, 1, 1][: len(ratios)]
    with torch.device("meta"):
        made = tiny_sounds.oobleck(downsampling_ratios=ratios, channel_multiples=multiples)
    config = oobleck_config(Weights(path=Path("a"), tensors=dict(made.state_dict())))
    assert config["sampling_rate"] == rate
    assert config["downsampling_ratios"] == ratios


def test_stable_audio_and_ace_step_have_their_published_shapes() -> None:
    """The defaults of diffusers' class are those of Stable Audio Open."""
    with torch.device("meta"):
        made = quietly(AutoencoderOobleck)
    found = oobleck_config(Weights(path=Path("a"), tensors=dict(made.state_dict())))
    assert found == {name: made.config[name] for name in found}


def test_a_file_of_a_vae_that_is_saved_again_gives_the_same_sounds(
    network: AutoencoderOobleck, tmp_path: Path, policy: Policy
) -> None:
    file = tiny_sounds.of_stable_audio_tools(network)
    vae = loaded(tmp_path / "v.safetensors", file, policy)
    assert model_metadata(vae=vae) == {}
    again = loaded(tmp_path / "w.safetensors", vae_tensors(vae), policy)
    latents = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.decode_sound(latents), vae.decode_sound(latents))


def test_a_file_that_lacks_layers_is_refused(
    network: AutoencoderOobleck, tmp_path: Path, policy: Policy
) -> None:
    tensors = tiny_sounds.of_stable_audio_tools(network)
    del tensors["decoder.layers.2.layers.3.layers.1.weight_v"]
    save_file(tensors, tmp_path / "v.safetensors")
    with pytest.raises(CheckpointUnreadable, match="1 tensors are missing"):
        load_vae(tmp_path / "v.safetensors", policy)
