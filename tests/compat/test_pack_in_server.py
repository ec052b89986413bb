"""A pack that uses host names, in a real server with a real worker."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client, wait_until
from tests.conftest import ServerProcess, start_server

PACK = Path(__file__).parent.parent / "packs" / "models_pack"
PREPARED = ("detectors/a.onnx", "detectors/b.txt", "diffusion_models/m.gguf")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose worker has the pack."""
    base = tmp_path_factory.mktemp("base")
    shutil.copytree(PACK, base / "custom_nodes" / PACK.name)
    for name in (*(f"models/{file}" for file in PREPARED), "more_loras/l.safetensors"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).touch()
    server = start_server(base)
    wait_until(
        lambda: "Work" in server.client.get("/object_info").json(), what="the pack is loaded"
    )
    yield server
    server.stop()


@pytest.fixture
def client(process: ServerProcess) -> Client:
    return process.client


def run(client: Client, class_type: str, **inputs: Any) -> dict[str, Any]:
    """What the history says of a run of one node."""
    return client.wait(client.submit({"1": {"class_type": class_type, "inputs": inputs}}))


def texts(client: Client, class_type: str, **inputs: Any) -> list[str]:
    found: list[str] = run(client, class_type, **inputs)["outputs"]["1"]["text"]
    return found


def test_kinds_of_a_pack_are_the_servers_as_well(client: Client) -> None:
    assert "detectors" in client.get("/models").json()
    listed = client.get("/models/detectors").json()
    assert "a.onnx" in listed
    assert "b.txt" not in listed
    assert "l.safetensors" in client.get("/models/loras").json()
    assert "m.gguf" in client.get("/models/diffusion_models").json()


def test_choices_follow_the_disk_and_are_checked_against_it(
    process: ServerProcess, client: Client
) -> None:
    def offered() -> list[str]:
        info = client.get("/object_info/ChooseDetector").json()["ChooseDetector"]
        choices: list[str] = info["input"]["required"]["detector"][0]
        return choices

    assert offered()[:2] == ["None", "a.onnx"]
    new = process.base / "models" / "detectors" / "new.onnx"
    new.touch()
    assert "new.onnx" in offered()
    (text,) = texts(client, "ChooseDetector", detector="new.onnx", lora="l.safetensors")
    assert text == f"{new}|{process.base / 'more_loras' / 'l.safetensors'}"
    new.unlink()
    inputs = {"detector": "new.onnx", "lora": "l.safetensors"}
    prompt = {"1": {"class_type": "ChooseDetector", "inputs": inputs}}
    assert client.post("/prompt", {"prompt": prompt}).status == 400


def test_a_folder_that_a_node_adds_is_searched_from_then_on(client: Client, tmp_path: Path) -> None:
    (tmp_path / "later.onnx").touch()
    assert "later.onnx" in texts(client, "AddFolder", folder=str(tmp_path))
    wait_until(
        lambda: "later.onnx" in client.get("/models/detectors").json(),
        what="the server knows the new folder",
    )


def test_progress_pictures_and_calls_of_core_nodes_work(
    process: ServerProcess, client: Client
) -> None:
    with client.listen() as listener:
        prompt_id = client.submit({"1": {"class_type": "Work", "inputs": {"size": 16}}})
        progress = listener.wait_for("progress", prompt_id)
        entry = client.wait(prompt_id)
    assert progress["max"] == 3
    output = entry["outputs"]["1"]
    assert output["text"] == ["True", "1", "LoraLoader"]
    (image,) = output["images"]
    assert (image["subfolder"], image["type"]) == ("models_pack", "output")
    assert image["filename"] == "32_kept_00001_.png"
    assert (process.base / "output" / "models_pack" / image["filename"]).is_file()


def test_a_pack_can_interrupt_its_prompt(client: Client) -> None:
    entry = run(client, "StopMe")
    assert [name for name, _ in entry["status"]["messages"]][-1] == "execution_interrupted"


def test_a_name_without_a_part_fails_the_prompt_with_its_name(client: Client) -> None:
    entry = run(client, "UsesMissing", mask="")
    name, message = entry["status"]["messages"][-1]
    assert name == "execution_error"
    assert "comfy.utils.flux_to_diffusers" in message["exception_message"]


def test_lists_that_a_pack_makes_itself_are_made_anew_when_asked_for(
    process: ServerProcess, client: Client
) -> None:
    (process.base / "input" / "first.txt").write_text("one")
    info = client.get("/object_info/Lists").json()["Lists"]
    assert "first.txt" in info["input"]["required"]["file"][0]
    (process.base / "input" / "second.txt").write_text("two")
    assert "second.txt" in json.dumps(client.get("/object_info").json()["Lists"])


def test_a_file_that_a_pack_has_not_listed_yet_is_looked_for_when_a_prompt_names_it(
    process: ServerProcess, client: Client
) -> None:
    (process.base / "input" / "sudden.txt").write_text("here")
    assert texts(client, "Lists", file="sudden.txt", detector="None") == ["here", "None"]
    prompt = {"1": {"class_type": "Lists", "inputs": {"file": "never.txt", "detector": "None"}}}
    answer = client.post("/prompt", {"prompt": prompt})
    assert answer.status == 400
    assert answer.json()["node_errors"]["1"]["errors"][0]["type"] == "value_not_in_list"
