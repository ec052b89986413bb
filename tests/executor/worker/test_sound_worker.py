"""Sounds through a VAE in the real worker process: from a file to a file that is read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from executor.messages import Finished, Ready
from executor.worker_config import WorkerConfig
from models.audio.vae import AudioVaeHandle
from models.load import load_vae
from models.memory import choose_policy
from nodes.sound_files import encode_sound, read_sound, resample
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.models import tiny_stable_audio
from tests.models.audio import tiny_sounds
from tests.models.audio.test_encoder import wav2vec2
from tests.models.text.encoders import with_t5_tokenizer
from tests.models.tiny import TinyModel, save

STEP = 2**-15  # of samples of 16 bits


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with models and an input sound."""
    base = tmp_path_factory.mktemp("base")
    folders = ("vae", "checkpoints", "audio_encoders", "text_encoders")
    for name in (*(f"models/{folder}" for folder in folders), "input", "output", "temp"):
        (base / name).mkdir(parents=True)
    models = base / "models"
    with_t5_tokenizer(models)
    music = tiny_stable_audio.pipeline()
    save_file(tiny_stable_audio.checkpoint(music), models / "checkpoints/stable-audio.safetensors")
    save_file(tiny_stable_audio.text_tensors(music), models / "text_encoders/t5-base.safetensors")
    save_file(
        tiny_sounds.of_stable_audio_tools(tiny_sounds.oobleck()), models / "vae/sounds.safetensors"
    )
    save(models / "vae/pictures.safetensors", TinyModel().vae(), TinyModel().config)
    parts = (tiny_sounds.ltx2_vae().state_dict(), tiny_sounds.vocoder_of_two().state_dict())
    save_file(tiny_sounds.of_ltx2(*parts), models / "checkpoints/ltx-2.3.safetensors")
    encoder = tiny_sounds.tensors_of(wav2vec2("base"))
    save_file(encoder, models / "audio_encoders/wav2vec2.safetensors")
    tone = tiny_sounds.tone(0.3, 22050)[0]
    (base / "input" / "tone.wav").write_bytes(encode_sound(tone, 22050, "wav", "", {}))
    return base


@pytest.fixture(scope="module")
def client(base: Path) -> Iterator[Client]:
    """A worker over these files."""
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        yield client


def graph(vae: dict[str, Any], encode: dict[str, Any], decode: dict[str, Any]) -> dict[str, Any]:
    return {
        "vae": vae,
        "sound": node("LoadAudio", audio="tone.wav"),
        "encode": encode,
        "decode": decode,
        "save": node("SaveAudio", audio=["decode", 0], filename_prefix="made"),
    }


def run(client: Client, prompt: dict[str, Any]) -> Finished:
    last = client.run(prompt, "save")[-1]
    assert isinstance(last, Finished)
    return last


def saved(base: Path, finished: Finished) -> tuple[torch.Tensor, int]:
    """The sound in the file that a prompt has written."""
    assert finished.succeeded, finished.messages[-1]
    (entry,) = finished.outputs["save"]["audio"]
    found = read_sound(base / "output" / entry["filename"], "made")
    return found["waveform"], found["sample_rate"]


def test_a_sound_goes_through_a_vae_into_a_file(client: Client, base: Path) -> None:
    prompt = graph(
        node("VAELoader", vae_name="sounds.safetensors"),
        node("VAEEncodeAudio", audio=["sound", 0], vae=["vae", 0]),
        node("VAEDecodeAudio", samples=["encode", 0], vae=["vae", 0]),
    )
    waveform, rate = saved(base, run(client, prompt))
    vae = load_vae(base / "models/vae/sounds.safetensors", choose_policy(cpu=True))
    assert isinstance(vae, AudioVaeHandle)
    heard = read_sound(base / "input" / "tone.wav", "tone")
    expected = vae.decode_sound(vae.encode_sound(resample(heard["waveform"], 22050, 44100)))
    assert rate == 44100
    assert waveform.shape == expected.shape
    assert torch.allclose(waveform, expected.clamp(-1, 1), atol=2 * STEP)
    assert expected.abs().max() > 100 * STEP


def test_a_sound_goes_through_the_audio_vae_of_a_checkpoint(client: Client, base: Path) -> None:
    prompt = graph(
        node("LTXVAudioVAELoader", ckpt_name="ltx-2.3.safetensors"),
        node("LTXVAudioVAEEncode", audio=["sound", 0], audio_vae=["vae", 0]),
        node("LTXVAudioVAEDecode", samples=["encode", 0], audio_vae=["vae", 0]),
    )
    waveform, rate = saved(base, run(client, prompt))
    assert rate == 48000
    assert waveform.shape == (1, 2, 29 * 480)  # 31 spectra are 8 frames, of which 29 come back
    assert waveform.abs().max() > 100 * STEP


def test_an_empty_latent_of_a_film_with_a_rate_that_is_no_integer_is_decoded(
    client: Client, base: Path
) -> None:
    prompt = graph(
        node("LTXVAudioVAELoader", ckpt_name="ltx-2.3.safetensors"),
        node("LTXVEmptyLatentAudio", frames_number=5, frame_rate=23.976, batch_size=1,
             audio_vae=["vae", 0]),
        node("VAEDecodeAudioTiled", samples=["encode", 0], vae=["vae", 0], tile_size=32, overlap=8),
    )  # fmt: skip
    waveform, rate = saved(base, run(client, prompt))
    assert (waveform.shape, rate) == ((1, 2, 17 * 480), 48000)


def test_a_vae_of_pictures_in_its_place_is_named(client: Client) -> None:
    prompt = graph(
        node("VAELoader", vae_name="pictures.safetensors"),
        node("VAEEncodeAudio", audio=["sound", 0], vae=["vae", 0]),
        node("VAEDecodeAudio", samples=["encode", 0], vae=["vae", 0]),
    )
    finished = run(client, prompt)
    assert not finished.succeeded
    assert "this VAE is for pictures" in finished.messages[-1][1]["exception_message"]


def test_encoders_of_sounds_are_loaded_and_listen(client: Client) -> None:
    prompt = {
        "encoder": node("AudioEncoderLoader", audio_encoder_name="wav2vec2.safetensors"),
        "sound": node("LoadAudio", audio="tone.wav"),
        "heard": node("AudioEncoderEncode", audio_encoder=["encoder", 0], audio=["sound", 0]),
        "show": node("PreviewAny", source=["heard", 0]),
    }
    last = client.run(prompt, "show")[-1]
    assert isinstance(last, Finished)
    assert last.succeeded, last.messages[-1]
    assert "'sample_count': 4800" in last.outputs["show"]["text"][0]  # 0.3 s at 16 kHz


def test_a_prompt_becomes_a_sound_in_a_file(client: Client, base: Path) -> None:
    prompt = {
        "all": node("CheckpointLoaderSimple", ckpt_name="stable-audio.safetensors"),
        "clip": node("CLIPLoader", clip_name="t5-base.safetensors", type="stable_audio"),
        "positive": node("CLIPTextEncode", clip=["clip", 0], text="a (calm:1.3) piano"),
        "negative": node("CLIPTextEncode", clip=["clip", 0], text=""),
        "told": node("ConditioningStableAudio", positive=["positive", 0], negative=["negative", 0],
                     seconds_start=0.0, seconds_total=1.0),
        "empty": node("EmptyLatentAudio", seconds=1.0, batch_size=2),
        "sample": node("KSampler", model=["all", 0], positive=["told", 0], negative=["told", 1],
                       latent_image=["empty", 0], seed=1, steps=3, cfg=4.0,
                       sampler_name="dpmpp_3m_sde", scheduler="exponential", denoise=1.0),
        "decode": node("VAEDecodeAudio", samples=["sample", 0], vae=["all", 2]),
        "save": node("SaveAudio", audio=["decode", 0], filename_prefix="music"),
    }  # fmt: skip
    finished = run(client, prompt)
    assert finished.succeeded, finished.messages[-1]
    names = [entry["filename"] for entry in finished.outputs["save"]["audio"]]
    one, other = (read_sound(base / "output" / name, "made") for name in names)
    assert one["waveform"].shape == other["waveform"].shape == (1, 2, 22 * 8)
    assert one["waveform"].std() > STEP and not torch.equal(one["waveform"], other["waveform"])
