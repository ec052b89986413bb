"""Stable Diffusion 3 in the real worker process: one file with all parts, to pictures."""

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
from tests.models import tiny_sd3
from tests.models.control.test_mmdit_control import network
from tests.models.text import encoders
from tests.models.tiny import TinyModel, save

WIDTHS = {"joint_attention_dim": 256, "pooled_projection_dim": 64 + 32}  # T5's; CLIP-L's and G's
VAE = TinyModel(vae_latent=16, vae_quant=False)
STATED = tiny_sd3.STATED | {"vae": VAE.config["vae"]}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with models and an input image."""
    base = tmp_path_factory.mktemp("base")
    folders = ("checkpoints", "text_encoders", "loras", "controlnet", "diffusion_models")
    for name in (*(f"models/{folder}" for folder in folders), "input", "output", "temp"):
        (base / name).mkdir(parents=True)
    models = base / "models"
    encoders.with_t5_tokenizer(models)
    transformer = tiny_sd3.transformer(tiny_sd3.MEDIUM_35 | WIDTHS)
    texts = {
        name: encoders.tensors_of({"": module})
        for name, module in {
            "clip_l": encoders.clip(),
            "clip_g": encoders.clip(128),
            "t5xxl": encoders.t5(),
        }.items()
    }
    del texts["t5xxl"]["encoder.embed_tokens.weight"]  # which is shared.weight
    parts = {
        "model.diffusion_model.": tiny_sd3.original_tensors(transformer),
        "first_stage_model.": VAE.vae(),
        **{f"text_encoders.{name}.transformer.": tensors for name, tensors in texts.items()},
    }
    whole = {prefix + name: t for prefix, part in parts.items() for name, t in part.items()}
    save(models / "checkpoints" / "sd3.safetensors", whole, STATED)
    for name, tensors in texts.items():
        save_file(tensors, models / "text_encoders" / f"{name}.safetensors")
    diffusers = tiny_sd3.diffusers_tensors(transformer)
    save(models / "diffusion_models" / "diffusers.safetensors", diffusers, tiny_sd3.STATED)
    save_file(lora(), models / "loras" / "l.safetensors")
    control = {name: tensor.clone() for name, tensor in network(**WIDTHS).state_dict().items()}
    save(models / "controlnet" / "c.safetensors", control, tiny_sd3.STATED)
    Image.new("RGB", (64, 64), (200, 30, 30)).save(base / "input" / "red.png")
    return base


def lora() -> dict[str, torch.Tensor]:
    """For a fused layer of the transformer, and for a layer of each text encoder."""
    layers = {
        "lora_unet_joint_blocks_0_x_block_attn_qkv": (48, 16),
        "lora_te1_text_model_encoder_layers_0_mlp_fc1": (128, 64),
        "lora_te3_encoder_block_0_layer_0_SelfAttention_q": (64, 256),
    }
    found = {}
    for layer, (rows, columns) in layers.items():
        found[f"{layer}.lora_up.weight"] = torch.ones(rows, 1)
        found[f"{layer}.lora_down.weight"] = torch.linspace(-1, 1, columns)[None]
    return found


@pytest.fixture(scope="module")
def client(base: Path) -> Iterator[Client]:
    """A worker over these files."""
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        yield client


def sampler(**changes: Any) -> dict[str, Any]:
    inputs: dict[str, Any] = {
        "model": ["all", 0], "positive": ["positive", 0], "negative": ["negative", 0],
        "latent_image": ["latent", 0], "seed": 1, "steps": 2, "cfg": 3.0,
        "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
    }  # fmt: skip
    return {"sample": node("KSampler", **(inputs | changes))}


def graph(checkpoint: str = "sd3", **more: Any) -> dict[str, Any]:
    """A checkpoint, prompts, a sampler and a decoder; `more` nodes take places among them."""
    nodes = {
        "all": node("CheckpointLoaderSimple", ckpt_name=f"{checkpoint}.safetensors"),
        "positive": node("CLIPTextEncode", clip=["all", 1], text="a (red:1.3) fox"),
        "negative": node("CLIPTextEncode", clip=["all", 1], text=""),
        "picture": node("LoadImage", image="red.png"),
        "latent": node("EmptySD3LatentImage", width=64, height=64, batch_size=1),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["all", 2]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="sd3"),
    }
    return nodes | sampler() | more


def finished(client: Client, prompt: dict[str, Any], *outputs: str) -> Finished:
    last = client.run(prompt, *(outputs or ("save",)))[-1]
    assert isinstance(last, Finished)
    assert last.succeeded, last.messages[-1]
    return last


def drawn(client: Client, base: Path, prompt: dict[str, Any]) -> NDArray[Any]:
    """The picture of a prompt that has to succeed."""
    (entry,) = finished(client, prompt).outputs["save"]["images"]
    with Image.open(base / "output" / entry["filename"]) as picture:
        return np.asarray(picture, np.float32)


VARIANTS: dict[str, dict[str, Any]] = {
    "prompts": {
        "positive": node("CLIPTextEncodeSD3", clip=["all", 1], clip_l="a fox", clip_g="a fox",
                         t5xxl="in the snow", empty_padding="none"),
    },
    "shift": {
        "shifted": node("ModelSamplingSD3", model=["all", 0], shift=8.0),
        **sampler(model=["shifted", 0]),
    },
    "LoRA": {
        "lora": node("LoraLoader", model=["all", 0], clip=["all", 1], lora_name="l.safetensors",
                     strength_model=1.0, strength_clip=0.0),
        **sampler(model=["lora", 0]),
    },
    "LoRA of text": {
        "lora": node("LoraLoader", model=["all", 0], clip=["all", 1], lora_name="l.safetensors",
                     strength_model=0.0, strength_clip=1.0),
        "positive": node("CLIPTextEncode", clip=["lora", 1], text="a (red:1.3) fox"),
    },
    "control": {
        "control": node("ControlNetLoader", control_net_name="c.safetensors"),
        "apply": node("ControlNetApplySD3", positive=["positive", 0], negative=["negative", 0],
                      control_net=["control", 0], image=["picture", 0], vae=["all", 2],
                      strength=1.0, start_percent=0.0, end_percent=1.0),
        **sampler(positive=["apply", 0], negative=["apply", 1]),
    },
    "skipped layers": {
        "slg": node("SkipLayerGuidanceSD3", model=["all", 0], layers="1", scale=3.0,
                    start_percent=0.0, end_percent=1.0),
        **sampler(model=["slg", 0]),
    },
    "picture": {
        "known": node("VAEEncode", pixels=["picture", 0], vae=["all", 2]),
        **sampler(latent_image=["known", 0], denoise=0.5),
    },
}  # fmt: skip


def test_every_way_of_steering_makes_a_picture_of_its_own(client: Client, base: Path) -> None:
    plain = drawn(client, base, graph())
    assert plain.shape == (64, 64, 3)
    for name, more in VARIANTS.items():
        assert not np.array_equal(drawn(client, base, graph(**more)), plain), name


def test_parts_from_files_of_their_own_make_the_same_picture(client: Client, base: Path) -> None:
    apart = graph(
        unet=node("UNETLoader", unet_name="diffusers.safetensors", weight_dtype="default"),
        clip=node(
            "TripleCLIPLoader",
            clip_name1="t5xxl.safetensors",
            clip_name2="clip_l.safetensors",
            clip_name3="clip_g.safetensors",
        ),
        positive=node("CLIPTextEncode", clip=["clip", 0], text="a (red:1.3) fox"),
        **sampler(model=["unet", 0]),
    )
    assert np.array_equal(drawn(client, base, apart), drawn(client, base, graph()))


def test_a_checkpoint_that_was_saved_makes_the_same_picture(client: Client, base: Path) -> None:
    saver = node(
        "CheckpointSave", model=["all", 0], clip=["all", 1], vae=["all", 2], filename_prefix="all"
    )
    finished(client, graph(saved=saver), "saved")
    (path,) = (base / "output").glob("all*.safetensors")
    path.rename(base / "models" / "checkpoints" / "again.safetensors")
    assert np.array_equal(drawn(client, base, graph("again")), drawn(client, base, graph()))
