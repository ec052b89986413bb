"""MiniMax-H3's autoencoder of sounds: from a file to sounds, as diffusers does it."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKLMiniMaxH3Audio
from safetensors.torch import save_file

from models.audio.vae import AudioVaeHandle
from models.families.minimax_h3_audio_vae import minimax_h3_audio_config
from models.families.weight_norm import quietly
from models.load import load_vae
from models.memory import Policy
from models.weights import Weights
from tests.models.audio import tiny_sounds


def test_sides_are_encoded_and_decoded_by_themselves(tmp_path: Path, policy: Policy) -> None:
    network = tiny_sounds.minimax_h3()
    save_file(tiny_sounds.tensors_of(network), tmp_path / "v.safetensors")
    vae = load_vae(tmp_path / "v.safetensors", policy)
    assert isinstance(vae, AudioVaeHandle)
    assert (vae.codec.sample_rate, vae.codec.hop) == (32000, 10)
    sounds = tiny_sounds.tone(0.01, 32000)
    latents = vae.encode_sound(sounds)
    sides = network.encode(sounds[0][:, None]).latent_dist.mode()  # [2, 4, frames]
    assert latents.shape == (1, 8, 32)
    assert torch.allclose(latents[0].reshape(2, 4, 32), sides, atol=1e-6)
    decoded = vae.decode_sound(latents)
    assert torch.allclose(decoded[0], network.decode(sides).sample[:, 0], atol=1e-6)


def test_statistics_of_a_file_make_latents_normal(tmp_path: Path, policy: Policy) -> None:
    network = tiny_sounds.minimax_h3()
    mean, deviation = torch.tensor([1.0, 2.0, -1.0, 0.5]), torch.tensor([0.5, 2.0, 1.0, 3.0])
    stated = {"latents_mean": mean, "latents_std": deviation}
    save_file(tiny_sounds.tensors_of(network) | stated, tmp_path / "v.safetensors")
    vae = load_vae(tmp_path / "v.safetensors", policy)
    assert isinstance(vae, AudioVaeHandle)
    sounds = tiny_sounds.tone(0.01, 32000)
    sides = network.encode(sounds[0][:, None]).latent_dist.mode()
    latents = vae.encode_sound(sounds)
    wanted = (sides - mean[:, None]) / deviation[:, None]
    assert torch.allclose(latents[0].reshape(2, 4, 32), wanted, atol=1e-6)
    assert torch.allclose(
        vae.decode_sound(latents)[0], network.decode(sides).sample[:, 0], atol=1e-4
    )


def test_the_published_file_has_the_configuration_that_diffusers_has_for_it() -> None:
    with torch.device("meta"):
        made = quietly(AutoencoderKLMiniMaxH3Audio)
    found = minimax_h3_audio_config(Weights(path=Path("a"), tensors=dict(made.state_dict())))

    def plain(value: object) -> object:
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    assert {k: plain(v) for k, v in found.items()} == {k: plain(made.config[k]) for k in found}
