"""The real worker process with a tiny checkpoint: every node, and files that cannot be used."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from executor.messages import (
    Call,
    Emit,
    Event,
    Execute,
    Finished,
    Heartbeat,
    Preview,
    Progress,
    Ready,
    Reply,
)
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node
from tests.models.gguf_files import write_gguf
from tests.models.tiny import TinyModel, save, save_checkpoint


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with models and an input image."""
    base = tmp_path_factory.mktemp("base")
    checkpoints = base / "models" / "checkpoints"
    checkpoints.mkdir(parents=True)
    for name in ("vae", "loras"):
        (base / "models" / name).mkdir()
    model = TinyModel()
    file = save_checkpoint(checkpoints / "tiny.safetensors", model)
    (checkpoints / "cut.safetensors").write_bytes(file.read_bytes()[:5000])
    (checkpoints / "text.safetensors").write_text("this is no checkpoint")
    unet = {f"model.diffusion_model.{name}": tensor for name, tensor in model.unet().items()}
    save(checkpoints / "bare.safetensors", unet, model.config)
    (base / "models" / "diffusion_models").mkdir()
    quantised = base / "models" / "diffusion_models" / "tiny.gguf"
    write_gguf(quantised, model.unet(), "Q4_0", config=model.config)
    save(base / "models" / "vae" / "tiny_vae.safetensors", model.vae(), model.config)
    down = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(1, 16)}
    up = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(64, 1)}
    save_file(down | up, base / "models" / "loras" / "tiny_lora.safetensors")
    (base / "input").mkdir()
    (base / "output").mkdir()
    (base / "temp").mkdir()
    picture = Image.new("RGBA", (64, 64), (200, 30, 30, 255))
    picture.paste((0, 0, 0, 0), (16, 16, 48, 48))
    picture.save(base / "input" / "hole.png")
    return base


@pytest.fixture(scope="module")
def started(base: Path) -> Iterator[tuple[Client, Ready]]:
    """A worker over these files."""
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        yield client, client.wait_for(Ready)


@pytest.fixture
def client(started: tuple[Client, Ready]) -> Client:
    """The worker's client."""
    return started[0]


def picture_graph(latent: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Checkpoint, prompts, sampler and decoder around a latent node "latent"."""
    sampler = {
        "model": ["ckpt", 0],
        "positive": ["yes", 0],
        "negative": ["no", 0],
        "latent_image": ["latent", 0],
        "seed": 1,
        "steps": 2,
        "cfg": 2.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "denoise": 1.0,
    }
    return {
        "ckpt": node("CheckpointLoaderSimple", ckpt_name="tiny.safetensors"),
        "yes": node("CLIPTextEncode", text="a (red:1.2) circle", clip=["ckpt", 1]),
        "no": node("CLIPTextEncode", text="", clip=["ckpt", 1]),
        "latent": latent,
        "sample": node("KSampler", **(sampler | options)),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["ckpt", 2]),
        "save": node("SaveImage", images=["decode", 0], filename_prefix="t/%width%"),
    }


EMPTY = node("EmptyLatentImage", width=64, height=32, batch_size=2)


def finish(events: list[Event]) -> Finished:
    """The last event of a run."""
    assert isinstance(events[-1], Finished)
    return events[-1]


def succeed(client: Client, graph: dict[str, Any], *outputs: str) -> Finished:
    """Run a graph that has to succeed."""
    finished = finish(client.run(graph, *(outputs or ("save",))))
    assert finished.succeeded, finished.messages[-1]
    return finished


def fail(client: Client, graph: dict[str, Any]) -> dict[str, Any]:
    """The error of a graph that has to fail; the worker goes on after it."""
    finished = finish(client.run(graph, "save"))
    assert not finished.succeeded
    trivial = {"1": node("EmptyImage", width=8, height=8, batch_size=1, color=1)}
    succeed(client, trivial | {"2": node("PreviewImage", images=["1", 0])}, "2")
    return finished.messages[-1][1]


def test_the_worker_describes_itself(started: tuple[Client, Ready]) -> None:
    ready = started[1]
    assert ready.definitions is not None
    assert {"KSampler", "SaveImage"} <= {definition["name"] for definition in ready.definitions}
    (device,) = ready.devices
    assert (device["name"], device["type"], device["index"]) == ("cpu", "cpu", None)
    assert device["vram_total"] > device["vram_free"] > 0
    assert ready.versions["torch"]


def test_text_to_image_writes_pictures_with_the_workflow_inside(client: Client, base: Path) -> None:
    graph = picture_graph(EMPTY)
    graph["save"]["inputs"]["filename_prefix"] = "first/%width%"
    finished = succeed(client, graph)
    entries = finished.outputs["save"]["images"]
    names = [(entry["subfolder"], entry["filename"], entry["type"]) for entry in entries]
    assert names == [("first", "64_00001_.png", "output"), ("first", "64_00002_.png", "output")]
    folder = base / "output" / "first"
    with Image.open(folder / "64_00001_.png") as picture:
        assert picture.size == (64, 32)
        assert json.loads(picture.text["prompt"]) == graph  # type: ignore[attr-defined]
    assert [path.name for path in folder.iterdir() if path.suffix != ".png"] == []


def test_a_quantised_model_makes_pictures_with_lora(client: Client, base: Path) -> None:
    graph = picture_graph(EMPTY, model=["lora", 0]) | {
        "unet": node("UnetLoaderGGUF", unet_name="tiny.gguf"),
        "lora": node(
            "LoraLoader", model=["unet", 0], clip=["ckpt", 1], lora_name="tiny_lora.safetensors",
            strength_model=1.0, strength_clip=0.5,
        ),
    }  # fmt: skip
    graph["save"]["inputs"]["filename_prefix"] = "quantised"
    succeed(client, graph)
    with Image.open(base / "output" / "quantised_00001_.png") as picture:
        assert picture.size == (64, 32)
    file = base / "models" / "diffusion_models" / "tiny.gguf"
    (file.parent / "cut.gguf").write_bytes(file.read_bytes()[:-64])
    error = fail(client, graph | {"unet": node("UnetLoaderGGUF", unet_name="cut.gguf")})
    assert "it is truncated" in error["exception_message"]


def test_integers_of_any_size_arrive_and_go_into_the_picture(client: Client, base: Path) -> None:
    largest_seed = 18446744073709552000  # as browsers write it: more than 64 bits
    graph = picture_graph(EMPTY, seed=5)
    graph["save"]["inputs"] |= {"filename_prefix": "large", "more": [-(10**30), "x"]}
    workflow = {"nodes": [{"widget": ["INT", {"max": largest_seed}]}]}
    client.send(
        Execute(
            prompt_id="p",
            prompt=graph,
            outputs=["save"],
            extra_data={"extra_pnginfo": {"workflow": workflow}},
        )
    )
    while not isinstance(event := client.next(), Finished):
        pass
    assert event.succeeded, event.messages
    with Image.open(base / "output" / "large_00001_.png") as picture:
        assert json.loads(picture.text["workflow"]) == workflow  # type: ignore[attr-defined]
        assert json.loads(picture.text["prompt"]) == graph  # type: ignore[attr-defined]


def test_sampling_reports_progress_and_previews(client: Client) -> None:
    graph = picture_graph(EMPTY, seed=2)
    command = Execute(
        prompt_id="p",
        prompt=graph,
        outputs=["save"],
        extra_data={"preview_method": "latent2rgb"},
    )
    client.send(command)
    events: list[Event] = []
    while not (events and isinstance(events[-1], Finished)):
        events.append(client.next())
    bodies = [
        json.loads(event.text)["data"]
        for event in events
        if isinstance(event, Emit) and event.type == "progress"
    ]
    assert bodies[-1] == {"value": 2, "max": 2, "prompt_id": "p", "node": "sample"}
    assert [event.class_type for event in events if isinstance(event, Progress)][-1] == "KSampler"
    preview = next(event for event in events if isinstance(event, Preview))
    assert preview.image.startswith(b"\xff\xd8")
    assert preview.metadata["node_id"] == "sample"


def test_images_for_the_websocket_come_without_loss_each_time_they_are_asked_for(
    client: Client,
) -> None:
    graph = {
        "e": {
            "class_type": "EmptyImage",
            "inputs": {"width": 600, "height": 8, "batch_size": 3, "color": 0x010203},
        },
        "s": {"class_type": "SaveImageWebsocket", "inputs": {"images": ["e", 0]}},
    }
    for _ in range(2):
        client.send(Execute(prompt_id="p", prompt=graph, outputs=["s"], extra_data={}))
        events: list[Event] = []
        while not (events and isinstance(events[-1], Finished)):
            events.append(client.next())
        pictures = [event for event in events if isinstance(event, Preview)]
        assert [event.image_type for event in pictures] == ["image/png"] * 3
        with Image.open(io.BytesIO(pictures[0].image)) as picture:
            assert (picture.size, picture.getpixel((0, 0))) == ((600, 8), (1, 2, 3))


@pytest.mark.parametrize(
    "latent",
    [
        node("VAEEncode", pixels=["load", 0], vae=["ckpt", 2]),
        node(
            "VAEEncodeForInpaint",
            pixels=["load", 0],
            vae=["ckpt", 2],
            mask=["load", 1],
            grow_mask_by=6,
        ),
        node("SetLatentNoiseMask", samples=["encode", 0], mask=["mask", 0]),
        node(
            "LatentUpscale",
            samples=["encode", 0],
            upscale_method="bislerp",
            width=96,
            height=64,
            crop="disabled",
        ),
    ],
    ids=lambda latent: latent["class_type"],
)
def test_image_to_image_and_inpainting_run(client: Client, latent: dict[str, Any]) -> None:
    graph = picture_graph(latent, denoise=0.6)
    graph |= {
        "load": node("LoadImage", image="hole.png"),
        "mask": node("LoadImageMask", image="hole.png", channel="alpha"),
        "encode": node("VAEEncode", pixels=["load", 0], vae=["ckpt", 2]),
    }
    succeed(client, graph)


def test_clip_skip_lora_and_another_vae_run(client: Client) -> None:
    graph = picture_graph(EMPTY) | {
        "lora": node(
            "LoraLoader",
            model=["ckpt", 0],
            clip=["ckpt", 1],
            lora_name="tiny_lora.safetensors",
            strength_model=1.0,
            strength_clip=1.0,
        ),
        "skip": node("CLIPSetLastLayer", clip=["lora", 1], stop_at_clip_layer=-2),
        "yes": node("CLIPTextEncode", text="a circle", clip=["skip", 0]),
        "vae": node("VAELoader", vae_name="tiny_vae.safetensors"),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["vae", 0]),
    }
    succeed(client, graph)


def test_two_stages_give_what_one_gives(client: Client, base: Path) -> None:
    common = {
        "model": ["ckpt", 0],
        "noise_seed": 5,
        "steps": 4,
        "cfg": 2.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": ["yes", 0],
        "negative": ["no", 0],
    }
    stages = {"a": ("latent", 0, 2, "enable"), "b": ("a", 2, 10000, "disable")}
    graph = picture_graph(EMPTY, steps=4, seed=5)
    for name, (source, first, last, noisy) in stages.items():
        graph[name] = node(
            "KSamplerAdvanced",
            **common,
            add_noise=noisy,
            latent_image=[source, 0],
            start_at_step=first,
            end_at_step=last,
            return_with_leftover_noise=noisy,
        )
    graph["decode2"] = node("VAEDecode", samples=["b", 0], vae=["ckpt", 2])
    graph["save2"] = node("SaveImage", images=["decode2", 0], filename_prefix="two")
    outputs = succeed(client, graph, "save", "save2").outputs
    first, second = (outputs[name]["images"][0] for name in ("save", "save2"))
    pictures = [
        Image.open(base / "output" / entry["subfolder"] / entry["filename"]).convert("RGB")
        for entry in (first, second)
    ]
    extremes = [abs(a - b) for a, b in zip(*(p.tobytes() for p in pictures), strict=True)]
    assert max(extremes) <= 2


@pytest.mark.parametrize(
    ("name", "says"),
    [("cut.safetensors", "cut.safetensors"), ("text.safetensors", "text.safetensors")],
)
def test_a_file_that_cannot_be_used_fails_its_node(client: Client, name: str, says: str) -> None:
    graph = picture_graph(EMPTY) | {"ckpt": node("CheckpointLoaderSimple", ckpt_name=name)}
    error = fail(client, graph)
    assert (error["node_id"], error["node_type"]) == ("ckpt", "CheckpointLoaderSimple")
    assert error["exception_type"].startswith("models.errors.")
    assert says in error["exception_message"]


@pytest.mark.parametrize("name", ["gone.safetensors", "../../input/hole.png"])
def test_a_name_that_leads_nowhere_or_out_fails_its_node(client: Client, name: str) -> None:
    graph = picture_graph(EMPTY) | {"ckpt": node("CheckpointLoaderSimple", ckpt_name=name)}
    error = fail(client, graph)
    assert error["node_id"] == "ckpt"
    assert error["exception_type"].startswith("executor.folders.")


def test_a_checkpoint_without_text_encoder_or_vae_says_so_where_they_are_needed(
    client: Client,
) -> None:
    bare = node("CheckpointLoaderSimple", ckpt_name="bare.safetensors")
    error = fail(client, picture_graph(EMPTY) | {"ckpt": bare})
    assert error["node_type"] == "CLIPTextEncode"
    assert "text encoder" in error["exception_message"]


def test_a_saved_picture_cannot_leave_the_output_folder(client: Client, base: Path) -> None:
    graph = {
        "1": node("EmptyImage", width=8, height=8, batch_size=1, color=1),
        "save": node("SaveImage", images=["1", 0], filename_prefix="../../out"),
    }
    assert fail(client, graph)["exception_type"] == "executor.folders.OutsideFolder"
    assert list(base.parent.glob("out*")) == []


@pytest.mark.parametrize(
    ("name", "ok"),
    [("hole.png", True), ("gone.png", False), ("../../etc/passwd", False), ("/etc/passwd", False)],
)
def test_the_check_of_an_image_name_is_answered(client: Client, name: str, ok: bool) -> None:
    arguments = {"class_type": "LoadImage", "inputs": {"image": name}}
    client.send(Call(call_id=1, method="validate_inputs", arguments=arguments))
    result = client.wait_for(Reply).result
    assert result["ok"] is ok
    assert ok or name in result["text"]


def test_the_private_folder_goes_with_a_server_that_dies(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    config = WorkerConfig(base=str(tmp_path), cpu=True, run_folder=str(folder))
    with worker("executor.worker", "--config", config.to_json()) as client:
        client.wait_for(Heartbeat)
        client.hang_up()
        client.process.wait(60)
    assert not folder.exists()
