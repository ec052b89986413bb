"""Training in the real worker process: a picture is learned, kept in a file, and drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

import models.starter
from executor.messages import Finished, Progress, Ready
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node

STARTER = Path(models.starter.__file__).with_name("darkroom_starter.safetensors")
PROMPT = "a red circle"
BLUE = (30, 60, 220)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with the bundled model and a plain picture."""
    base = tmp_path_factory.mktemp("base")
    for name in ("models/checkpoints", "models/loras", "input", "output", "temp"):
        (base / name).mkdir(parents=True)
    copy(STARTER, base / "models" / "checkpoints" / "starter.safetensors")
    Image.new("RGB", (128, 128), BLUE).save(base / "input" / "blue.png")
    return base


@pytest.fixture(scope="module")
def client(base: Path) -> Iterator[Client]:
    """A worker over these files."""
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Ready)
        yield client


def graph(steps: int, **training: Any) -> dict[str, Any]:
    """Train on the picture, keep and draw what came out, and draw the prompt with it."""
    course = {
        "batch_size": 2, "grad_accumulation_steps": 1, "steps": steps, "learning_rate": 0.004,
        "rank": 8, "optimizer": "AdamW", "loss_function": "MSE", "seed": 3,
        "training_dtype": "fp32", "lora_dtype": "fp32", "algorithm": "LoRA",
        "gradient_checkpointing": False, "existing_lora": "[None]", "bucket_mode": False,
    }  # fmt: skip
    return {
        "all": node("CheckpointLoaderSimple", ckpt_name="starter.safetensors"),
        "text": node("CLIPTextEncode", clip=["all", 1], text=PROMPT),
        "none": node("CLIPTextEncode", clip=["all", 1], text=""),
        "picture": node("LoadImage", image="blue.png"),
        "latent": node("VAEEncode", pixels=["picture", 0], vae=["all", 2]),
        "train": node(
            "TrainLoraNode", model=["all", 0], latents=["latent", 0], positive=["text", 0],
            **course | training,
        ),
        "keep": node("SaveLoRA", lora=["train", 1], prefix="loras/blue", steps=["train", 3]),
        "plot": node("LossGraphNode", loss=["train", 2], filename_prefix="loss"),
        "load": node("LoraModelLoader", model=["all", 0], lora=["train", 1], strength_model=1.0),
        **drawing(["load", 0]),
    }  # fmt: skip


def drawing(model: list[Any]) -> dict[str, Any]:
    return {
        "empty": node("EmptyLatentImage", width=128, height=128, batch_size=1),
        "sample": node(
            "KSampler", model=model, positive=["text", 0], negative=["none", 0], seed=5,
            latent_image=["empty", 0], steps=8, cfg=1.0, sampler_name="euler", scheduler="normal",
            denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["all", 2]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="drawn"),
    }  # fmt: skip


def finished(client: Client, prompt: dict[str, Any], *outputs: str) -> Finished:
    last = client.run(prompt, *outputs)[-1]
    assert isinstance(last, Finished)
    assert last.succeeded, last.messages[-1]
    return last


def distance(base: Path, last: Finished) -> float:
    """How far the picture is from the one that was learned, on average, in 0..255."""
    (entry,) = last.outputs["save"]["images"]
    with Image.open(base / "output" / entry["filename"]) as picture:
        return float(np.abs(np.asarray(picture, np.float32) - BLUE).mean())


def test_a_picture_is_learned_kept_and_drawn(client: Client, base: Path) -> None:
    plain = {**graph(1), **drawing(["all", 0])}
    before = distance(base, finished(client, plain, "save"))
    events = client.run(graph(32), "keep", "plot", "save")
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.succeeded, last.messages[-1]
    steps = [e.value for e in events if isinstance(e, Progress) and e.node_id == "train"]
    assert steps[-1] == 32
    after = distance(base, last)
    assert after < 0.5 * before
    (plot,) = last.outputs["plot"]["images"]
    with Image.open(base / "output" / plot["filename"]) as picture:
        assert len(picture.convert("RGB").getcolors(10**6) or ()) > 4
    # The file draws the same picture.
    kept = base / "output" / "loras" / "blue_32_steps_00001_.safetensors"
    with safe_open(kept, "pt") as file:
        assert file.metadata()["ss_steps"] == "32"
    copy(kept, base / "models" / "loras" / "blue.safetensors")
    loader = node(
        "LoraLoaderModelOnly", model=["all", 0], lora_name="blue.safetensors", strength_model=1.0
    )
    loaded = {**graph(1), "load": loader}
    assert distance(base, finished(client, loaded, "save")) == pytest.approx(after, abs=0.2)
    # And it can be trained further: the steps count on.
    finished(client, graph(2, existing_lora="blue.safetensors"), "keep")
    assert (base / "output" / "loras" / "blue_34_steps_00001_.safetensors").exists()


def test_a_prompt_too_many_is_told_without_a_traceback(client: Client) -> None:
    both = {
        **graph(1),
        "others": node("RepeatLatentBatch", samples=["latent", 0], amount=3),
        "pair": node("ConditioningCombine", conditioning_1=["text", 0], conditioning_2=["none", 0]),
    }
    both["train"]["inputs"] |= {"latents": ["others", 0], "positive": ["pair", 0]}
    last = client.run(both, "keep")[-1]
    assert isinstance(last, Finished)
    assert not last.succeeded
    name, body = last.messages[-1]
    assert name == "execution_error"
    assert "3 latents to learn from, and 2 prompts" in str(body)
