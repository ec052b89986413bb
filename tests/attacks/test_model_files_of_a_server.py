"""Harmful model files in the folders of a real server: each loader refuses them by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.attacks.test_model_files import GOOD, Touch, entry, safetensors
from tests.client import Client
from tests.conftest import ServerProcess

STARTER = "darkroom_starter.safetensors"
KINDS = {"checkpoints": "ckpt", "loras": "pt", "vae": "bin"}
MALFORMED = {
    "huge header": safetensors(GOOD, bytes(8), length=2**63),
    "overlap": safetensors(
        {"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)
    ),
    "beyond the end": safetensors({"a": entry("F32", [2**20], 0, 2**22)}, bytes(8)),
    "twice": safetensors(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        bytes(8),
    ),
}


@pytest.fixture(scope="module")
def proof(
    server_process: ServerProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """What would be there if code in a file had run; the files are in the server's folders."""
    proof, models = tmp_path_factory.mktemp("proof") / "ran", server_process.base / "models"
    written = []
    for kind, suffix in KINDS.items():
        written.append(models / kind / f"evil.{suffix}")
        torch.save({"state_dict": {"a": torch.zeros(2)}, "x": Touch(proof)}, written[-1])
        for name, content in MALFORMED.items():
            written.append(models / kind / f"{name}.safetensors")
            written[-1].write_bytes(content)
    written.append(models / "embeddings" / "evil.pt")
    torch.save({"x": Touch(proof)}, written[-1])
    yield proof
    for file in written:
        file.unlink()


def loader(kind: str, name: str) -> dict[str, Any]:
    """A graph whose node `load` reads the file."""
    text = {"text": "a cat", "clip": ["start", 1]}
    graph: dict[str, Any] = {
        "start": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": STARTER}},
        "latent": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 64, "height": 64, "batch_size": 1},
        },
        "text": {"class_type": "CLIPTextEncode", "inputs": text},
        "sample": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["start", 0],
                "seed": 1,
                "steps": 1,
                "cfg": 1.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "positive": ["text", 0],
                "negative": ["text", 0],
                "latent_image": ["latent", 0],
                "denoise": 1.0,
            },
        },
        "decode": {
            "class_type": "VAEDecode",
            "inputs": {"samples": ["sample", 0], "vae": ["start", 2]},
        },
        "show": {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}},
    }
    sample = graph["sample"]["inputs"]
    if kind == "checkpoints":
        graph["load"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}
        sample["model"] = ["load", 0]
    elif kind == "vae":
        graph["load"] = {"class_type": "VAELoader", "inputs": {"vae_name": name}}
        graph["decode"]["inputs"]["vae"] = ["load", 0]
    elif kind == "loras":
        inputs = {"model": ["start", 0], "clip": ["start", 1], "lora_name": name}
        strengths = {"strength_model": 1.0, "strength_clip": 1.0}
        graph["load"] = {"class_type": "LoraLoader", "inputs": inputs | strengths}
        sample["model"] = ["load", 0]
    else:
        text["text"] = f"a cat, embedding:{name}"
    return graph


def failure(client: Client, graph: dict[str, Any]) -> dict[str, Any]:
    entry = client.wait(client.submit(graph))
    messages = entry["status"]["messages"]
    [found] = [data for kind, data in messages if kind == "execution_error"]
    error: dict[str, Any] = found
    return error


@pytest.mark.parametrize("kind", KINDS)
def test_code_in_a_model_file_is_refused_by_name_and_not_run(
    server: Client, proof: Path, kind: str
) -> None:
    error = failure(server, loader(kind, f"evil.{KINDS[kind]}"))
    assert (error["node_id"], error["exception_type"]) == ("load", "models.errors.UnsafeCheckpoint")
    assert f"evil.{KINDS[kind]}" in error["exception_message"]
    assert not proof.exists()


def test_code_in_an_embedding_is_not_run_and_the_prompt_goes_on(
    server: Client, server_process: ServerProcess, proof: Path
) -> None:
    assert server.run(loader("embeddings", "evil"))
    server_process.wait_for_log("embedding 'evil' is left out")
    assert not proof.exists()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_model_file_fails_its_prompt_only(
    server: Client, proof: Path, kind: str, name: str
) -> None:
    error = failure(server, loader(kind, f"{name}.safetensors"))
    assert error["node_id"] == "load"
    assert error["exception_type"] == "models.errors.CheckpointUnreadable"
    assert f"{name}.safetensors" in error["exception_message"]
    reply = server.get(f"/view_metadata/{kind}", filename=f"{name}.safetensors")
    assert reply.status == 404
