"""Nodes between sounds and latents, over files in the models folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from executor.folders import Folders
from models.audio.vae import AudioVaeHandle
from models.errors import InvalidInput, PartMissing
from models.load import Checkpoint
from models.memory import Policy
from nodes.audio_vae import VAEDecodeAudio, VAEDecodeAudioTiled, VAEEncodeAudio
from nodes.joint_latents import LTXVConcatAVLatent, LTXVSeparateAVLatent
from nodes.loaders import VAELoader
from nodes.ltx_audio import (
    LTXVAudioVAEDecode,
    LTXVAudioVAEEncode,
    LTXVAudioVAELoader,
    LTXVEmptyLatentAudio,
)
from nodes.missing_parts import PartMissingHere
from nodes.model_saving import VAESave
from nodes.sound_files import Sound, SoundMissing, resample
from nodes.vae import VAEDecode, VAEDecodeTiled, VAEEncode, VAEEncodeForInpaint, VAEEncodeTiled
from tests.models.audio import tiny_sounds
from tests.models.conftest import policy, tiny, tiny_file
from tests.nodes.context import node_context

__all__ = ["policy", "tiny", "tiny_file"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> Iterator[Folders]:
    with node_context(tmp_path_factory.mktemp("base"), policy=policy) as made:
        models = made.models_root
        oobleck = tiny_sounds.of_stable_audio_tools(tiny_sounds.oobleck())
        save_file(oobleck, models / "vae" / "sounds.safetensors")
        parts = (tiny_sounds.ltx2_vae().state_dict(), tiny_sounds.vocoder().state_dict())
        film = {"model.diffusion_model.a": torch.zeros(1)}
        save_file(film | tiny_sounds.of_ltx2(*parts), models / "checkpoints" / "ltx-2.safetensors")
        yield made


@pytest.fixture(scope="module")
def vae(folders: Folders) -> AudioVaeHandle:
    (loaded,) = VAELoader().run("sounds.safetensors")
    assert isinstance(loaded, AudioVaeHandle)
    return loaded


@pytest.fixture(scope="module")
def ltx2(folders: Folders) -> AudioVaeHandle:
    return LTXVAudioVAELoader().run("ltx-2.safetensors")[0]


def sound(seconds: float = 0.1, rate: int = 44100, channels: int = 2) -> Sound:
    return {"waveform": tiny_sounds.tone(seconds, rate, channels), "sample_rate": rate}


def test_a_sound_is_encoded_and_decoded_at_the_rate_of_the_vae(vae: AudioVaeHandle) -> None:
    heard = sound()
    (latent,) = VAEEncodeAudio().run(heard, vae)
    assert latent["type"] == "audio"
    assert torch.equal(latent["samples"], vae.encode_sound(heard["waveform"]))
    (made,) = VAEDecodeAudio().run(latent, vae)
    assert made["sample_rate"] == 44100
    assert torch.equal(made["waveform"], vae.decode_sound(latent["samples"]))
    assert made["waveform"].shape == (1, 2, 32 * latent["samples"].shape[-1])


@pytest.mark.parametrize("rate", [8000, 22050, 48000])
def test_other_rates_are_brought_to_that_of_the_vae(vae: AudioVaeHandle, rate: int) -> None:
    heard = sound(0.2, rate)
    (latent,) = VAEEncodeAudio().run(heard, vae)
    resampled = resample(heard["waveform"], rate, 44100)
    assert torch.equal(latent["samples"], vae.encode_sound(resampled))
    assert latent["samples"].shape[-1] == -(-8820 // 32)


def test_a_latent_may_state_the_rate(vae: AudioVaeHandle) -> None:
    latent = {"samples": torch.zeros(1, 4, 3), "sample_rate": 12345}
    assert VAEDecodeAudio().run(latent, vae)[0]["sample_rate"] == 12345
    assert VAEDecodeAudioTiled().run(latent, vae, 512, 64)[0]["sample_rate"] == 12345


def test_pieces_give_the_sound_of_the_whole(vae: AudioVaeHandle) -> None:
    latent = {"samples": torch.randn(1, 4, 400, generator=torch.Generator().manual_seed(3))}
    (whole,) = VAEDecodeAudio().run(latent, vae)
    (tiled,) = VAEDecodeAudioTiled().run(latent, vae, 200, 96)
    assert torch.allclose(tiled["waveform"], whole["waveform"], atol=1e-3)
    (rough,) = VAEDecodeAudioTiled().run(latent, vae, 32, 0)
    assert rough["waveform"].shape == whole["waveform"].shape


def test_sounds_of_ltx2_go_through_joint_latents(ltx2: AudioVaeHandle) -> None:
    heard = sound(0.4, 48000, channels=1)
    (latent,) = LTXVAudioVAEEncode().run(heard, ltx2)
    assert latent["samples"].shape == (1, 2, 11, 16)  # 41 spectra
    (expected,) = LTXVAudioVAEDecode().run(latent, ltx2)
    assert expected["sample_rate"] == 24000
    assert expected["waveform"].shape == (1, 2, 41 * 240)
    film = {"samples": torch.zeros(1, 128, 2, 2, 2)}
    (joint,) = LTXVConcatAVLatent().run(film, latent)
    apart = LTXVSeparateAVLatent().run(joint)[1]
    assert apart["type"] == "audio"
    for taken in (joint, apart):
        for made in (
            LTXVAudioVAEDecode().run(taken, ltx2)[0],
            VAEDecodeAudio().run(taken, ltx2)[0],
            VAEDecodeAudioTiled().run(taken, ltx2, 512, 64)[0],
        ):
            assert torch.equal(made["waveform"], expected["waveform"])
            assert made["sample_rate"] == 24000


@pytest.mark.parametrize(
    ("pictures", "rate", "frames"), [(97, 25, 97), (121, 24, 126), (1, 1000, 1), (50, 29.97, 42)]
)
def test_an_empty_latent_lasts_as_long_as_the_film(
    ltx2: AudioVaeHandle, pictures: int, rate: float, frames: int
) -> None:
    (latent,) = LTXVEmptyLatentAudio().run(pictures, rate, 3, ltx2)
    assert latent["type"] == "audio"
    assert torch.equal(latent["samples"], torch.zeros(3, 2, frames, 16))


def test_nodes_for_pictures_refuse_a_vae_of_sounds(vae: AudioVaeHandle) -> None:
    picture, mask = torch.zeros(1, 16, 16, 3), torch.zeros(1, 16, 16)
    latent: dict[str, Tensor] = {"samples": torch.zeros(1, 4, 2, 2)}
    calls: list[Callable[[], object]] = [
        lambda: VAEDecode().run(vae, latent),
        lambda: VAEEncode().run(vae, picture),
        lambda: VAEEncodeForInpaint().run(vae, picture, mask),
        lambda: VAEDecodeTiled().run(vae, latent, 512),
        lambda: VAEEncodeTiled().run(vae, picture, 512),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match="this VAE is for sounds"):
            call()


def test_nodes_for_sounds_refuse_a_vae_of_pictures_and_none(tiny: Checkpoint) -> None:
    latent = {"samples": torch.zeros(1, 4, 2)}
    calls: list[Callable[[Any], object]] = [
        lambda vae: VAEDecodeAudio().run(latent, vae),
        lambda vae: VAEDecodeAudioTiled().run(latent, vae, 512, 64),
        lambda vae: VAEEncodeAudio().run(sound(), vae),
        lambda vae: LTXVAudioVAEDecode().run(latent, vae),
        lambda vae: LTXVAudioVAEEncode().run(sound(), vae),
        lambda vae: LTXVEmptyLatentAudio().run(97, 25, 1, vae),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match="this VAE is for pictures"):
            call(tiny.vae)
        with pytest.raises(PartMissingHere, match="no audio VAE"):
            call(None)


def test_where_there_is_no_sound_encoders_say_so(vae: AudioVaeHandle) -> None:
    with pytest.raises(SoundMissing):
        VAEEncodeAudio().run(None, vae)
    with pytest.raises(SoundMissing):
        LTXVAudioVAEEncode().run(None, vae)


def test_a_checkpoint_without_sounds_has_no_such_vae(folders: Folders, tiny_file: Path) -> None:
    (folders.models_root / "checkpoints" / "sd.safetensors").symlink_to(tiny_file)
    with pytest.raises(PartMissing, match="no audio VAE"):
        LTXVAudioVAELoader().run("sd.safetensors")


def test_a_vae_of_sounds_is_saved_and_loaded(vae: AudioVaeHandle, folders: Folders) -> None:
    VAESave().run(vae, "vae/again")
    (file,) = (folders.output / "vae").glob("again*.safetensors")
    file.rename(folders.models_root / "vae" / "again.safetensors")
    again: Any = VAELoader().run("again.safetensors")[0]
    latent = {"samples": torch.full((1, 4, 5), 0.3)}
    (first,), (second,) = VAEDecodeAudio().run(latent, vae), VAEDecodeAudio().run(latent, again)
    assert torch.equal(first["waveform"], second["waveform"])
