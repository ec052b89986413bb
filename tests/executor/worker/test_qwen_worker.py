"""Qwen-Image in the real worker process: prompts, edits with references, training, to pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers import AutoencoderKLQwenImage21
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from executor.messages import Finished, Ready
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.models import tiny_qwen
from tests.models.film.test_wan_vae import original_names, tiny_wan
from tests.models.text import language_models


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with models in files of their own, as they are published."""
    base = tmp_path_factory.mktemp("base")
    kinds = ("diffusion_models", "text_encoders", "vae")
    for name in (*(f"models/{kind}" for kind in kinds), "input", "output", "temp"):
        (base / name).mkdir(parents=True)
    models = base / "models"
    network = tiny_qwen.transformer(joint_attention_dim=128)
    save_file(tiny_qwen.tensors(network), models / "diffusion_models" / "qwen.safetensors")
    text = language_models.tensors_of(language_models.qwen2_5_vl())
    language_models.write(models / "text_encoders" / "qwen.safetensors", text)
    newer = tiny_qwen.transformer21(context_in_dim=64)
    save_file(tiny_qwen.tensors(newer), models / "diffusion_models" / "qwen21.safetensors")
    text = language_models.tensors_of(language_models.qwen3_vl())
    language_models.write(models / "text_encoders" / "qwen3_vl.safetensors", text)
    pictures = AutoencoderKLQwenImage21(
        base_dim=4, decoder_base_dim=8, dim_mult=[1, 1, 1, 1, 1], num_res_blocks=1
    )
    save_file(tiny_qwen.tensors(pictures), models / "vae" / "qwen21.safetensors")
    vae = {name: tensor.clone() for name, tensor in tiny_wan("2.1").state_dict().items()}
    save_file(original_names(vae), models / "vae" / "qwen.safetensors")
    Image.new("RGB", (96, 64), (200, 30, 30)).save(base / "input" / "red.png")
    return base


@pytest.fixture(scope="module")
def client(base: Path) -> Iterator[Client]:
    """A worker over these files."""
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        yield client


def graph(**more: Any) -> dict[str, Any]:
    """Loaders, prompts, a sampler and a decoder; `more` nodes take places among them."""
    return {
        "unet": node("UNETLoader", unet_name="qwen.safetensors", weight_dtype="default"),
        "clip": node(
            "CLIPLoader", clip_name="qwen.safetensors", type="qwen_image", device="default"
        ),
        "vae": node("VAELoader", vae_name="qwen.safetensors"),
        "model": node("ModelSamplingAuraFlow", model=["unet", 0], shift=3.1),
        "positive": node("CLIPTextEncode", clip=["clip", 0], text="a fox"),
        "negative": node("CLIPTextEncode", clip=["clip", 0], text=""),
        "latent": node("EmptySD3LatentImage", width=64, height=48, batch_size=1),
        "sample": node(
            "KSampler", model=["model", 0], positive=["positive", 0], negative=["negative", 0],
            latent_image=["latent", 0], seed=1, steps=2, cfg=2.5, sampler_name="euler",
            scheduler="simple", denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["vae", 0]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="qwen"),
    } | more  # fmt: skip


def drawn(client: Client, base: Path, prompt: dict[str, Any]) -> NDArray[Any]:
    """The picture of a prompt that has to succeed."""
    last = client.run(prompt, "save")[-1]
    assert isinstance(last, Finished)
    assert last.succeeded, last.messages[-1]
    (entry,) = last.outputs["save"]["images"]
    with Image.open(base / "output" / entry["filename"]) as picture:
        return np.asarray(picture, np.float32)


def test_a_prompt_is_drawn(client: Client, base: Path) -> None:
    picture = drawn(client, base, graph())
    assert picture.shape == (48, 64, 3)
    other = drawn(
        client, base, graph(positive=node("CLIPTextEncode", clip=["clip", 0], text="a long river"))
    )
    assert not np.array_equal(picture, other)


def test_a_picture_is_edited(client: Client, base: Path) -> None:
    red = node("LoadImage", image="red.png")
    edit = {
        "red": red,
        "positive": node(
            "TextEncodeQwenImageEditPlus", clip=["clip", 0], prompt="make it blue",
            vae=["vae", 0], image1=["red", 0],
        ),
        "latent": node("VAEEncode", pixels=["red", 0], vae=["vae", 0]),
    }  # fmt: skip
    picture = drawn(client, base, graph(**edit))
    assert picture.shape == (64, 96, 3)
    clean = node(
        "FluxKontextMultiReferenceLatentMethod", conditioning=["edited", 0],
        reference_latents_method="index_timestep_zero",
    )  # fmt: skip
    other = graph(**edit, edited=edit["positive"])
    other["positive"] = clean
    assert not np.array_equal(picture, drawn(client, base, other))


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
        "model": node("ModelSamplingAuraFlow", model=["train", 0], shift=3.1),
    }  # fmt: skip
    trained = drawn(client, base, graph(**training))
    assert not np.array_equal(trained, drawn(client, base, graph()))


def test_qwen_image_2_1_draws_and_edits(client: Client, base: Path) -> None:
    loaders = {
        "model": node("UNETLoader", unet_name="qwen21.safetensors", weight_dtype="default"),
        "clip": node(
            "CLIPLoader", clip_name="qwen3_vl.safetensors", type="qwen_image", device="default"
        ),
        "vae": node("VAELoader", vae_name="qwen21.safetensors"),
        "red": node("LoadImage", image="red.png"),
    }
    asked = {"clip": ["clip", 0], "prompt": "a fox", "negative_prompt": "", "resolution": 256}
    edited = {**asked, "vae": ["vae", 0], "images.image_1": ["red", 0]}
    pictures = []
    for inputs in (asked, edited):
        encode = node("TextEncodeQwenImage21", **inputs)
        prompt = graph(**loaders, encode=encode)
        prompt["sample"]["inputs"] |= {
            "positive": ["encode", 0], "negative": ["encode", 1], "latent_image": ["latent", 0],
        }  # fmt: skip
        prompt["latent"] = node("EmptyLatentImage", width=96, height=64, batch_size=1)
        pictures.append(drawn(client, base, prompt))
    assert [picture.shape for picture in pictures] == [(64, 96, 4)] * 2
    assert not np.array_equal(pictures[0], pictures[1])
