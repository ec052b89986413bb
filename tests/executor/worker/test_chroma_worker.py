"""Chroma in the real worker process: the workflow of its template, and training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from executor.messages import Finished, Ready
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.models import tiny_chroma
from tests.models.text.encoders import T5_TOKENIZER, t5, tensors_of
from tests.models.tiny import TinyModel, save

NETWORK = "Chroma1-HD.safetensors"
VAE = TinyModel(vae_latent=16, vae_quant=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with models in files of their own, as they are published."""
    base = tmp_path_factory.mktemp("base")
    kinds = ("diffusion_models", "text_encoders", "vae", "tokenizers/t5xxl")
    for name in (*(f"models/{kind}" for kind in kinds), "input", "output", "temp"):
        (base / name).mkdir(parents=True)
    models = base / "models"
    found = tiny_chroma.tensors(tiny_chroma.transformer())
    halves = {name: tensor.bfloat16() for name, tensor in found.items()}
    save_file(halves, models / "diffusion_models" / NETWORK)
    (models / "tokenizers" / "t5xxl" / "tokenizer.json").symlink_to(T5_TOKENIZER)
    text = tensors_of({"": t5(tiny_chroma.PROMPT)})
    del text["encoder.embed_tokens.weight"]  # the same as `shared.weight`
    save(models / "text_encoders" / "t5xxl.safetensors", text)
    save(models / "vae" / "ae.safetensors", VAE.vae(), VAE.config)
    Image.new("RGB", (64, 48), (200, 30, 30)).save(base / "input" / "red.png")
    return base


@pytest.fixture(scope="module")
def client(base: Path) -> Iterator[Client]:
    """A worker over these files."""
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        yield client


def graph(**more: Any) -> dict[str, Any]:
    """The nodes of the template; `more` nodes take places among them."""
    return {
        "unet": node("UNETLoader", unet_name=NETWORK, weight_dtype="default"),
        "loaded": node("CLIPLoader", clip_name="t5xxl.safetensors", type="chroma",
                       device="default"),
        "clip": node("T5TokenizerOptions", clip=["loaded", 0], min_padding=0, min_length=0),
        "vae": node("VAELoader", vae_name="ae.safetensors"),
        "model": node("ModelSamplingAuraFlow", model=["unet", 0], shift=1.0),
        "positive": node("CLIPTextEncode", clip=["clip", 0], text="a photograph of a tiger"),
        "negative": node("CLIPTextEncode", clip=["clip", 0], text="blurred"),
        "latent": node("EmptySD3LatentImage", width=64, height=48, batch_size=1),
        "guider": node("CFGGuider", model=["model", 0], positive=["positive", 0],
                       negative=["negative", 0], cfg=3.5),
        "sampler": node("KSamplerSelect", sampler_name="euler"),
        "sigmas": node("BasicScheduler", model=["model", 0], scheduler="beta", steps=2,
                       denoise=1.0),
        "noise": node("RandomNoise", noise_seed=1),
        "sample": node("SamplerCustomAdvanced", noise=["noise", 0], guider=["guider", 0],
                       sampler=["sampler", 0], sigmas=["sigmas", 0], latent_image=["latent", 0]),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["vae", 0]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="chroma"),
    } | more  # fmt: skip


def drawn(client: Client, base: Path, prompt: dict[str, Any]) -> NDArray[Any]:
    """The picture of a prompt that has to succeed."""
    last = client.run(prompt, "save")[-1]
    assert isinstance(last, Finished)
    assert last.succeeded, last.messages[-1]
    (entry,) = last.outputs["save"]["images"]
    with Image.open(base / "output" / entry["filename"]) as picture:
        return np.asarray(picture, np.float32)


def test_the_workflow_draws_a_picture(client: Client, base: Path) -> None:
    picture = drawn(client, base, graph())
    assert picture.shape == (48, 64, 3)
    padded = node("T5TokenizerOptions", clip=["loaded", 0], min_padding=1, min_length=0)
    assert not np.array_equal(picture, drawn(client, base, graph(clip=padded)))


def test_weights_may_be_kept_in_float8(client: Client, base: Path) -> None:
    narrow = node("UNETLoader", unet_name=NETWORK, weight_dtype="fp8_e4m3fn")
    assert not np.array_equal(drawn(client, base, graph(unet=narrow)), drawn(client, base, graph()))


def test_an_adapter_is_trained(client: Client, base: Path) -> None:
    training = {
        "red": node("LoadImage", image="red.png"),
        "encoded": node("VAEEncode", pixels=["red", 0], vae=["vae", 0]),
        "train": node(
            "TrainLoraNode", model=["unet", 0], latents=["encoded", 0], positive=["positive", 0],
            batch_size=1, grad_accumulation_steps=1, steps=2, learning_rate=0.01, rank=2,
            optimizer="AdamW", loss_function="MSE", seed=3, training_dtype="fp32",
            lora_dtype="fp32", algorithm="LoRA", gradient_checkpointing=True,
            existing_lora="[None]", bucket_mode=False,
        ),
        "model": node("ModelSamplingAuraFlow", model=["train", 0], shift=1.0),
    }  # fmt: skip
    trained = drawn(client, base, graph(**training))
    assert not np.array_equal(trained, drawn(client, base, graph()))
