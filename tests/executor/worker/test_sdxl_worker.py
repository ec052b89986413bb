"""Stable Diffusion XL in the real worker process: base, refiner and inpainting, to pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from executor.messages import Finished, Ready
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.models.control.test_sdxl_controls import union
from tests.models.tiny import save
from tests.models.tiny_sdxl import (
    INPAINTING,
    LARGE,
    REFINER,
    SDXL,
    SMALL,
    checkpoint,
    stated,
    text_of_refiner,
    text_of_sdxl,
)

# The ControlNet's way down is the UNet's.
CONTROL: dict[str, Any] = {
    "block_out_channels": (8, 16, 32), "cross_attention_dim": SMALL + LARGE,
           "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
           "transformer_layers_per_block": (1, 1, 2),
           "projection_class_embeddings_input_dim": SDXL.label}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with models and an input image."""
    base = tmp_path_factory.mktemp("base")
    folders = ("checkpoints", "loras", "controlnet")
    for name in (*(f"models/{folder}" for folder in folders), "input", "output", "temp"):
        (base / name).mkdir(parents=True)
    checkpoints = base / "models" / "checkpoints"
    for name, model, text in (
        ("sdxl", SDXL, text_of_sdxl()),
        ("refiner", REFINER, text_of_refiner()),
        ("inpainting", INPAINTING, text_of_sdxl()),
    ):
        save(checkpoints / f"{name}.safetensors", checkpoint(model, text), stated(model))
    save_file(lora(), base / "models" / "loras" / "l.safetensors")
    tensors = {name: tensor.clone() for name, tensor in union(**CONTROL).state_dict().items()}
    said = {"unet": {"num_attention_heads": 4, "norm_num_groups": 4}}
    save(base / "models" / "controlnet" / "union.safetensors", tensors, said)
    red = Image.new("RGBA", (64, 64), (200, 30, 30, 255))
    red.paste((0, 0, 0, 0), (16, 16, 48, 48))
    red.save(base / "input" / "red.png")
    return base


def lora() -> dict[str, torch.Tensor]:
    """Names of kohya: layers of the UNet by both layouts, and one of each text encoder."""
    layers = {
        "lora_unet_input_blocks_3_1_transformer_blocks_0_attn1_to_q": (16, 16),
        "lora_unet_down_blocks_2_attentions_0_transformer_blocks_1_attn2_to_v": (32, SMALL + LARGE),
        "lora_unet_label_emb_0_2": (32, 32),
        "lora_te1_text_model_encoder_layers_0_mlp_fc1": (2 * SMALL, SMALL),
        "lora_te2_text_model_encoder_layers_0_self_attn_q_proj": (LARGE, LARGE),
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


def graph(name: str = "sdxl", /, **more: Any) -> dict[str, Any]:
    """A checkpoint, prompts, a sampler and a decoder; `more` nodes take places among them."""
    nodes = {
        "all": node("CheckpointLoaderSimple", ckpt_name=f"{name}.safetensors"),
        "positive": node("CLIPTextEncode", clip=["all", 1], text="a (red:1.3) fox"),
        "negative": node("CLIPTextEncode", clip=["all", 1], text=""),
        "picture": node("LoadImage", image="red.png"),
        "latent": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["all", 2]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="sdxl"),
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


def with_lora(model: float, clip: float) -> dict[str, Any]:
    return {
        "lora": node("LoraLoader", model=["all", 0], clip=["all", 1], lora_name="l.safetensors",
                     strength_model=model, strength_clip=clip),
        "positive": node("CLIPTextEncode", clip=["lora", 1], text="a (red:1.3) fox"),
        **sampler(model=["lora", 0]),
    }  # fmt: skip


def with_control(kind: str) -> dict[str, Any]:
    return {
        "control": node("ControlNetLoader", control_net_name="union.safetensors"),
        "kind": node("SetUnionControlNetType", control_net=["control", 0], type=kind),
        "apply": node("ControlNetApplyAdvanced", positive=["positive", 0],
                      negative=["negative", 0], control_net=["kind", 0], image=["picture", 0],
                      strength=1.0, start_percent=0.0, end_percent=1.0),
        **sampler(positive=["apply", 0], negative=["apply", 1]),
    }  # fmt: skip


VARIANTS: dict[str, dict[str, Any]] = {
    "sizes": {
        "positive": node("CLIPTextEncodeSDXL", clip=["all", 1], width=2048, height=1024, crop_w=8,
                         crop_h=16, target_width=512, target_height=768,
                         text_g="a (red:1.3) fox", text_l="a (red:1.3) fox"),
    },
    "LoRA": with_lora(1.0, 0.0),
    "LoRA of text": with_lora(0.0, 1.0),
    "control": with_control("auto"),
    "control of a kind": with_control("depth"),
    "picture": {
        "known": node("VAEEncode", pixels=["picture", 0], vae=["all", 2]),
        **sampler(latent_image=["known", 0], denoise=0.5),
    },
}  # fmt: skip


def test_every_way_of_steering_makes_a_picture_of_its_own(client: Client, base: Path) -> None:
    pictures = {"plain": drawn(client, base, graph())}
    assert pictures["plain"].shape == (64, 64, 3)
    for name, more in VARIANTS.items():
        picture = drawn(client, base, graph(**more))
        for other, made in pictures.items():
            assert not np.array_equal(picture, made), (name, other)
        pictures[name] = picture


def test_the_refiner_ends_what_the_base_began(client: Client, base: Path) -> None:
    def stage(model: str, latent: str, first: int, last: int, **prompts: Any) -> dict[str, Any]:
        return node("KSamplerAdvanced", model=[model, 0], latent_image=[latent, 0], noise_seed=1,
                    add_noise="disable" if first else "enable", steps=4, cfg=3.0,
                    sampler_name="euler", scheduler="normal", start_at_step=first,
                    end_at_step=last, return_with_leftover_noise="disable" if first else "enable",
                    **prompts)  # fmt: skip

    def two_stages(score: float) -> NDArray[Any]:
        encode = {"clip": ["second", 1], "width": 64, "height": 64}
        more = {
            "second": node("CheckpointLoaderSimple", ckpt_name="refiner.safetensors"),
            "good": node("CLIPTextEncodeSDXLRefiner", ascore=score, text="a fox", **encode),
            "bad": node("CLIPTextEncode", clip=["second", 1], text=""),
            "first": stage("all", "latent", 0, 2, positive=["positive", 0],
                           negative=["negative", 0]),
            "sample": stage("second", "first", 2, 4, positive=["good", 0], negative=["bad", 0]),
        }  # fmt: skip
        return drawn(client, base, graph(**more))

    assert not np.array_equal(two_stages(6.0), two_stages(2.0))


def test_inpainting_sees_what_is_not_masked(client: Client, base: Path) -> None:
    encode = {"vae": ["all", 2], "mask": ["picture", 1]}
    known = {"latent": node("VAEEncodeForInpaint", pixels=["picture", 0], grow_mask_by=6, **encode)}
    more = {
        "told": node("InpaintModelConditioning", positive=["positive", 0], noise_mask=False,
                     negative=["negative", 0], pixels=["picture", 0], **encode),
        **sampler(positive=["told", 0], negative=["told", 1], latent_image=["told", 2]),
    }  # fmt: skip
    pictures = [drawn(client, base, graph("inpainting", **added)) for added in ({}, known, more)]
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_a_checkpoint_that_was_saved_makes_the_same_picture(client: Client, base: Path) -> None:
    saver = node(
        "CheckpointSave", model=["all", 0], clip=["all", 1], vae=["all", 2], filename_prefix="all"
    )
    finished(client, graph(saved=saver), "saved")
    (path,) = (base / "output").glob("all*.safetensors")
    with safe_open(path, "pt") as file:
        names = set(file.keys())
    with safe_open(base / "models/checkpoints/sdxl.safetensors", "pt") as file:
        assert {name for name in list(file.keys()) if "attn_mask" not in name} == names
    path.rename(base / "models" / "checkpoints" / "again.safetensors")
    assert np.array_equal(drawn(client, base, graph("again")), drawn(client, base, graph()))
