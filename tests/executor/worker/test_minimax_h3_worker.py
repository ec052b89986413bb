"""MiniMax-H3 in the real worker process: films and sounds of prompts, frames and references."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from executor.messages import Finished, Ready
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.models import tiny_minimax_h3
from tests.models.audio import tiny_sounds
from tests.models.film import test_minimax_h3_vae as films
from tests.models.text import language_models

SIZE = {"width": 64, "height": 32, "length": 22}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with models in files of their own."""
    base = tmp_path_factory.mktemp("base")
    kinds = ("diffusion_models", "text_encoders", "vae")
    for name in (*(f"models/{kind}" for kind in kinds), "input", "output", "temp"):
        (base / name).mkdir(parents=True)
    models = base / "models"
    network = tiny_minimax_h3.weights(tiny_minimax_h3.transformer(text_dim=64))
    save_file(dict(network.tensors), models / "diffusion_models" / "h3.safetensors")
    text = language_models.tensors_of(language_models.qwen3_vl(num_hidden_layers=51))
    language_models.write(models / "text_encoders" / "qwen3vl.safetensors", text)
    autoencoder = films.tiny()
    for parameter in autoencoder.decoder.parameters():
        parameter.data *= 8  # of a contrast that coding leaves
    save_file(dict(films.weights(autoencoder).tensors), models / "vae" / "films.safetensors")
    sounds = tiny_sounds.tensors_of(tiny_sounds.minimax_h3(latent_channels=32))
    save_file(sounds, models / "vae" / "sounds.safetensors")
    Image.new("RGB", (96, 64), (200, 30, 30)).save(base / "input" / "red.png")
    return base


@pytest.fixture(scope="module")
def client(base: Path) -> Iterator[Client]:
    """A worker over these files."""
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        yield client


def graph(asked: dict[str, Any], **more: Any) -> dict[str, Any]:
    """As the official templates have it: one model, both VAEs, and a prompt without guidance."""
    return {
        "unet": node("UNETLoader", unet_name="h3.safetensors", weight_dtype="default"),
        "clip": node("CLIPLoader", clip_name="qwen3vl.safetensors", type="minimax",
                     device="default"),
        "films": node("VAELoader", vae_name="films.safetensors"),
        "sounds": node("VAELoader", vae_name="sounds.safetensors"),
        "red": node("LoadImage", image="red.png"),
        "asked": asked,
        "model": node("MiniMaxH3SigmaShift", model=["unet", 0], shift_video=12.0, shift_audio=3.0),
        "guider": node("BasicGuider", model=["model", 0], conditioning=["asked", 0]),
        "sampler": node("KSamplerSelect", sampler_name="res_multistep"),
        "sigmas": node("BasicScheduler", model=["model", 0], scheduler="simple", steps=3,
                       denoise=1.0),
        "noise": node("RandomNoise", noise_seed=1),
        "sample": node("SamplerCustomAdvanced", noise=["noise", 0], guider=["guider", 0],
                       sampler=["sampler", 0], sigmas=["sigmas", 0], latent_image=["asked", 1]),
        "film": node("VAEDecode", samples=["sample", 0], vae=["films", 0]),
        "sound": node("VAEDecodeAudio", samples=["sample", 0], vae=["sounds", 0]),
        "video": node("CreateVideo", images=["film", 0], audio=["sound", 0], fps=24.0),
        "save": node("SaveVideo", video=["video", 0], filename_prefix="h3", format="auto",
                     codec="auto"),
    } | more  # fmt: skip


def filmed(client: Client, base: Path, prompt: dict[str, Any]) -> NDArray[Any]:
    """The frames of a prompt that has to succeed, whose film has a sound."""
    last = client.run(prompt, "save")[-1]
    assert isinstance(last, Finished)
    assert last.succeeded, last.messages[-1]
    (entry,) = last.outputs["save"]["images"]
    with av.open(base / "output" / entry["filename"]) as container:
        assert container.streams.audio
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_films_with_sounds_are_made_of_prompts_frames_and_references(
    client: Client, base: Path
) -> None:
    said = {"clip": ["clip", 0], "vae": ["films", 0], "prompt": "a fox", **SIZE}
    alone = node("MiniMaxH3ImageToVideo", **said)
    framed = node("MiniMaxH3ImageToVideo", **said, first_frame=["red", 0], last_frame=["red", 0])
    referring = node(
        "MiniMaxH3ReferenceToVideo", **said, ref_image_size="match", audio_vae=["sounds", 0],
        **{"ref_images.ref_image_0": ["red", 0], "ref_audios.ref_audio_0": ["first sound", 0]},
    )  # fmt: skip
    silence = node("EmptyAudio", duration=0.01, sample_rate=32000, channels=2)
    made = [
        filmed(client, base, graph(asked, **{"first sound": silence}))
        for asked in (alone, framed, referring)
    ]
    assert [film.shape for film in made] == [(22, 32, 64, 3)] * 3
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
