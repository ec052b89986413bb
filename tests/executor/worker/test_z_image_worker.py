"""Z-Image in the real worker process: the workflow of its template, LoRA files and training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from executor.messages import Finished, Ready
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.models import tiny_z_image
from tests.models.text import language_models
from tests.models.tiny import TinyModel, save

NETWORK = "z_image_turbo_bf16.safetensors"
VAE = TinyModel(vae_latent=16, vae_quant=False)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with models in files of their own, as they are published."""
    base = tmp_path_factory.mktemp("base")
    kinds = ("diffusion_models", "text_encoders", "vae", "loras")
    for name in (*(f"models/{kind}" for kind in kinds), "input", "output", "temp"):
        (base / name).mkdir(parents=True)
    models = base / "models"
    found = tiny_z_image.tensors(tiny_z_image.transformer())
    halves = {name: tensor.bfloat16() for name, tensor in found.items()}
    save_file(halves, models / "diffusion_models" / NETWORK)
    text = language_models.tensors_of(language_models.qwen3())
    language_models.write(models / "text_encoders" / "qwen_3_4b.safetensors", text)
    save(models / "vae" / "ae.safetensors", VAE.vae(), VAE.config)
    layer = "diffusion_model.layers.0.attention.qkv"
    lora = {
        f"{layer}.lora_B.weight": torch.ones(3 * tiny_z_image.WIDTH, 1),
        f"{layer}.lora_A.weight": torch.ones(1, tiny_z_image.WIDTH),
    }
    save_file(lora, models / "loras" / "l.safetensors")
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
    """The nodes of the template of Turbo; `more` nodes take places among them."""
    return {
        "unet": node("UNETLoader", unet_name=NETWORK, weight_dtype="default"),
        "clip": node(
            "CLIPLoader", clip_name="qwen_3_4b.safetensors", type="lumina2", device="default"
        ),
        "vae": node("VAELoader", vae_name="ae.safetensors"),
        "model": node("ModelSamplingAuraFlow", model=["unet", 0], shift=3.0),
        "positive": node("CLIPTextEncode", clip=["clip", 0], text="a fox"),
        "negative": node("ConditioningZeroOut", conditioning=["positive", 0]),
        "latent": node("EmptySD3LatentImage", width=64, height=48, batch_size=2),
        "sample": node(
            "KSampler", model=["model", 0], positive=["positive", 0], negative=["negative", 0],
            latent_image=["latent", 0], seed=1, steps=2, cfg=1.0, sampler_name="res_multistep",
            scheduler="simple", denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["vae", 0]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="z-image-turbo"),
    } | more  # fmt: skip


def drawn(client: Client, base: Path, prompt: dict[str, Any]) -> NDArray[Any]:
    """The pictures of a prompt that has to succeed."""
    last = client.run(prompt, "save")[-1]
    assert isinstance(last, Finished)
    assert last.succeeded, last.messages[-1]
    pictures = []
    for entry in last.outputs["save"]["images"]:
        with Image.open(base / "output" / entry["filename"]) as picture:
            pictures.append(np.asarray(picture, np.float32))
    return np.stack(pictures)


def test_the_workflow_of_turbo_draws_pictures(client: Client, base: Path) -> None:
    pictures = drawn(client, base, graph())
    assert pictures.shape == (2, 48, 64, 3)
    assert not np.array_equal(pictures[0], pictures[1])
    other = node("CLIPTextEncode", clip=["clip", 0], text="a long river")
    assert not np.array_equal(pictures, drawn(client, base, graph(positive=other)))


def test_guidance_takes_a_prompt_of_another_length(client: Client, base: Path) -> None:
    negative = node("CLIPTextEncode", clip=["clip", 0], text="blurred, dark " * 20)
    guided = graph(negative=negative)
    guided["sample"]["inputs"]["cfg"] = 4.0
    assert not np.array_equal(drawn(client, base, guided), drawn(client, base, graph()))


def test_weights_may_be_kept_in_float8(client: Client, base: Path) -> None:
    narrow = node("UNETLoader", unet_name=NETWORK, weight_dtype="fp8_e4m3fn")
    pictures = drawn(client, base, graph(unet=narrow))
    assert not np.array_equal(pictures, drawn(client, base, graph()))


def test_a_lora_changes_pictures(client: Client, base: Path) -> None:
    lora = node("LoraLoaderModelOnly", model=["unet", 0], lora_name="l.safetensors",
                strength_model=1.0)  # fmt: skip
    model = node("ModelSamplingAuraFlow", model=["lora", 0], shift=3.0)
    changed = drawn(client, base, graph(lora=lora, model=model))
    assert not np.array_equal(changed, drawn(client, base, graph()))


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
        "model": node("ModelSamplingAuraFlow", model=["train", 0], shift=3.0),
    }  # fmt: skip
    trained = drawn(client, base, graph(**training))
    assert not np.array_equal(trained, drawn(client, base, graph()))
