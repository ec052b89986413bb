"""LTX-2's autoencoder of sounds: from a checkpoint to sounds, as diffusers does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLLTX2Audio
from safetensors.torch import save_file
from torch import Tensor, nn

from models.audio.load import load_audio_vae
from models.audio.mel import log_mel
from models.audio.vae import AudioVaeHandle
from models.errors import PartMissing, UnsupportedLayout
from models.families.ltx2_vocoder import vocoder_config, vocoder_of
from models.load import load_vae
from models.memory import Policy
from models.model_files import vae_tensors
from models.weights import Weights
from tests.models.audio import tiny_sounds

VOCODERS = {"LTX-2": tiny_sounds.vocoder, "LTX-2.3": tiny_sounds.vocoder_of_two}
RATES = {"LTX-2": 24000, "LTX-2.3": 48000}


def tensors(network: AutoencoderKLLTX2Audio, vocoder: nn.Module) -> dict[str, Tensor]:
    """Of a checkpoint, whose other parts are of no interest."""
    sounds = tiny_sounds.of_ltx2(network.state_dict(), vocoder.state_dict())
    return {"vae.decoder.conv_in.conv.weight": torch.zeros(2, 2, 3, 3, 3)} | sounds


@pytest.fixture(scope="module")
def network() -> AutoencoderKLLTX2Audio:
    return tiny_sounds.ltx2_vae()


@pytest.mark.parametrize("release", list(VOCODERS))
def test_latents_become_the_sounds_that_diffusers_makes_of_them(
    network: AutoencoderKLLTX2Audio, release: str, tmp_path: Path, policy: Policy
) -> None:
    vocoder = VOCODERS[release]()
    save_file(tensors(network, vocoder), tmp_path / "c.safetensors")
    vae = load_audio_vae(tmp_path / "c.safetensors", policy)
    latents = torch.randn(2, 2, 4, 16, generator=torch.Generator().manual_seed(1))
    # As LTX2Pipeline: channels and bands of a frame are one axis, which statistics are of.
    packed = latents.transpose(1, 2).flatten(2) * network.latents_std + network.latents_mean
    unpacked = packed.unflatten(2, (-1, 16)).transpose(1, 2)
    expected = torch.cat([vocoder(network.decode(each[None]).sample) for each in unpacked])
    found = vae.decode_sound(latents)
    assert found.shape == (2, 2, 13 * RATES[release] // 100)  # 13 spectra, 100 a second
    assert vae.codec.output_rate == RATES[release]
    assert torch.allclose(found, expected, atol=1e-5)
    assert expected.std() > 1e-4


def test_sounds_become_the_latents_of_their_spectra(
    network: AutoencoderKLLTX2Audio, tmp_path: Path, policy: Policy
) -> None:
    save_file(tensors(network, tiny_sounds.vocoder()), tmp_path / "c.safetensors")
    vae = load_audio_vae(tmp_path / "c.safetensors", policy)
    sounds = tiny_sounds.tone(0.5, 16000)
    mel = log_mel(sounds, sample_rate=16000, window=1024, hop=160, bands=64)
    assert mel.shape == (1, 2, 51, 64)
    latents = network.encode(mel).latent_dist.mode()
    packed = (latents.transpose(1, 2).flatten(2) - network.latents_mean) / network.latents_std
    found = vae.encode_sound(sounds)
    assert found.shape == (1, 2, 13, 16)
    assert torch.allclose(found.transpose(1, 2).flatten(2), packed, atol=1e-4)


@pytest.mark.parametrize("prefix", ["audio_vae.", ""])
def test_it_is_loaded_like_other_vaes_and_saved(
    network: AutoencoderKLLTX2Audio, prefix: str, tmp_path: Path, policy: Policy
) -> None:
    file = tensors(network, tiny_sounds.vocoder_of_two())
    del file["vae.decoder.conv_in.conv.weight"]
    file = {name.replace("audio_vae.", prefix): tensor for name, tensor in file.items()}
    save_file(file, tmp_path / "v.safetensors")
    vae = load_vae(tmp_path / "v.safetensors", policy)
    assert isinstance(vae, AudioVaeHandle)
    save_file(vae_tensors(vae), tmp_path / "w.safetensors")
    again = load_vae(tmp_path / "w.safetensors", policy)
    assert isinstance(again, AudioVaeHandle)
    latents = torch.randn(1, 2, 2, 16, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again.decode_sound(latents), vae.decode_sound(latents))


def test_without_a_vocoder_nothing_is_loaded(
    network: AutoencoderKLLTX2Audio, tmp_path: Path, policy: Policy
) -> None:
    file = tensors(network, tiny_sounds.vocoder())
    silent = {name: t for name, t in file.items() if not name.startswith("vocoder.")}
    save_file(silent, tmp_path / "c.safetensors")
    with pytest.raises(PartMissing, match="no vocoder"):
        load_audio_vae(tmp_path / "c.safetensors", policy)


def test_a_checkpoint_without_sounds_is_refused(tmp_path: Path, policy: Policy) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "c.safetensors")
    with pytest.raises(PartMissing, match="no audio VAE"):
        load_audio_vae(tmp_path / "c.safetensors", policy)


def test_published_vocoders_have_the_configurations_that_diffusers_has_for_them() -> None:
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE

    with torch.device("meta"):
        first, second = LTX2Vocoder(), LTX2VocoderWithBWE()
    found = vocoder_config(Weights(path=Path("a"), tensors=dict(first.state_dict())))
    assert found == {name: first.config[name] for name in found}
    file = {f"vocoder.{name}": tensor for name, tensor in second.state_dict().items()}
    vocoder = vocoder_of(Weights(path=Path("a"), tensors=file))
    assert vocoder is not None
    with torch.device("meta"):
        made = vocoder.made()
    shown: Any = made
    assert {name: shown.config[name] for name in second.config if name[0] != "_"} == {
        name: value for name, value in second.config.items() if name[0] != "_"
    }
    assert (vocoder.in_channels, vocoder.samples) == (128, 480)


def test_a_vocoder_of_unknown_steps_is_refused() -> None:
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder

    with torch.device("meta"):
        other = LTX2Vocoder(upsample_kernel_sizes=[7], upsample_factors=[3])
    with pytest.raises(UnsupportedLayout, match="vocoder"):
        vocoder_config(Weights(path=Path("a"), tensors=dict(other.state_dict())))
