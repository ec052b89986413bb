"""The V3 pack in a real server: found in custom_nodes, described, run, and heard of by clients."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from tests.client import Client
from tests.compat.v3.bench import PACK
from tests.conftest import ServerProcess, start_server
from tests.executor.worker.harness import node


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    base = tmp_path_factory.mktemp("base")
    shutil.copytree(PACK, base / "custom_nodes" / "v3_pack")
    server = start_server(base)
    yield server
    server.stop()


@pytest.fixture
def client(process: ServerProcess) -> Client:
    return process.client


def test_its_nodes_are_offered_under_the_name_of_the_pack(client: Client) -> None:
    info = client.get("/object_info/V3Choice").json()["V3Choice"]
    assert info["python_module"] == "custom_nodes.v3_pack"
    assert info["input"]["required"]["how"][0] == "COMFY_DYNAMICCOMBO_V3"
    assert "V3Gradient" in client.get("/object_info").json()


def test_files_that_a_node_offers_are_those_of_this_moment(
    client: Client, process: ServerProcess
) -> None:
    def offered() -> list[str]:
        info = client.get("/object_info/V3Pick").json()["V3Pick"]
        kind, options = info["input"]["required"]["name"]
        assert (kind, options["multiselect"]) == ("COMBO", False)
        names: list[str] = options["options"]
        return names

    assert offered() == ["none"]
    folder = process.base / "models" / "loras"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "late.safetensors").write_bytes(b"")
    assert offered() == ["none", "late.safetensors"]
    graph = {
        "1": node("V3Pick", name="late.safetensors"),
        "2": node("V3Show", value=["1", 0], kind="text"),
    }
    assert client.run(graph)["outputs"]["2"]["text"] == ["late.safetensors"]
    reply = client.post("/prompt", {"prompt": {**graph, "1": node("V3Pick", name="never")}})
    (error,) = reply.json()["node_errors"]["1"]["errors"]
    assert error["type"] == "value_not_in_list"


def test_a_picture_is_made_shown_and_saved(client: Client) -> None:
    graph = {
        "1": node("V3Gradient", width=64, height=32),
        "2": node("V3Repeat", image=["1", 0], times=1),
        "3": node("V3Blend", first=["1", 0], second=["2", 0], factor=0.5, mode="normal"),
        "4": node("V3Save", images=["3", 0], filename_prefix="served/v3", kind="png"),
        "5": node("PreviewImage", images=["2", 0]),
    }
    entry = client.run(graph)
    (content,) = client.images(entry, "4")
    picture: Any = Image.open(io.BytesIO(content))
    assert picture.size == (64, 32)
    assert abs(picture.getpixel((0, 0))[0] - 127) <= 1
    assert json.loads(picture.text["prompt"])["4"]["class_type"] == "V3Save"
    assert entry["outputs"]["4"]["images"][0]["subfolder"] == "served"
    assert entry["outputs"]["3"]["images"][0]["type"] == "temp"


def test_an_async_node_tells_its_progress_with_pictures(client: Client) -> None:
    graph = {
        "1": node("V3Gradient", width=8, height=8),
        "2": node("V3Slow", value=["1", 0], steps=5),
        "3": node("V3Show", value=["2", 0], kind="image"),
    }
    with client.listen() as listener:
        listener.send({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        prompt_id = client.submit(graph)
        listener.wait_for("execution_success", prompt_id)
        progress = [m["data"] for m in listener.messages if m["type"] == "progress"]
    assert progress[-1] == {"value": 5, "max": 5, "prompt_id": prompt_id, "node": "2"}
    assert any(frame.startswith(b"\0\0\0\4") for frame in listener.frames)


def test_dynamic_inputs_are_validated_by_the_server(client: Client) -> None:
    graph = {
        "1": node("V3Choice", **{"how": "size", "how.width": 1000}),
        "2": node("V3Show", value=["1", 0], kind="text"),
    }
    reply = client.post("/prompt", {"prompt": graph})
    assert reply.status == 400
    (error,) = reply.json()["node_errors"]["1"]["errors"]
    assert error["type"] == "value_bigger_than_max"
    assert error["extra_info"]["input_name"] == "how.width"


def test_dynamic_inputs_reach_the_node_nested(client: Client) -> None:
    graph = {
        "0": node("V3Gradient", width=8, height=8),
        "1": node("V3Choice", **{"how": "size", "how.width": 4}),
        "2": node("V3Merge", **{"items.item1": ["1", 0], "items.item0": 3}),
        "3": node("V3Show", value=["2", 0], kind="text"),
    }
    outputs = client.run(graph)["outputs"]
    assert outputs["3"]["text"] == ["{'item0': 3, 'item1': {'how': 'size', 'width': 4}}"]


def test_the_check_of_a_class_is_asked_in_the_worker(client: Client) -> None:
    graph = {
        "7": node("V3Checked", a=13),
        "2": node("V3Show", value=["7", 0], kind="text"),
    }
    reply = client.post("/prompt", {"prompt": graph})
    (error,) = reply.json()["node_errors"]["7"]["errors"]
    assert error["details"] == "a - node 7 does not like 13"


def test_secrets_reach_the_node_and_nothing_else(client: Client) -> None:
    graph = {"1": node("V3Who", note="x"), "2": node("V3Show", value=["1", 0], kind="text")}
    secret = "a-key-that-nobody-else-sees"
    entry = client.run(graph, extra_data={"api_key_comfy_org": secret})
    assert f"'key': '{secret}'" in entry["outputs"]["2"]["text"][0]
    assert secret not in json.dumps(entry["prompt"])


def test_what_the_pack_says_of_older_classes_is_told_and_done(client: Client) -> None:
    (entry,) = client.get("/node_replacements").json()["V2Blend"]
    assert entry["new_node_id"] == "V3Blend"
    graph = {
        "1": node("V3Gradient", width=8, height=8),
        "2": node("V2Blend", a=["1", 0], b=["1", 0], amount=1),
        "3": node("V3Show", value=["2", 0], kind="image"),
    }
    assert client.images(client.run(graph), "3")


def test_an_async_node_can_be_interrupted(client: Client) -> None:
    graph = {
        "1": node("V3Slow", value=7, steps=100_000),
        "2": node("V3Show", value=["1", 0], kind="text"),
    }
    with client.listen() as listener:
        prompt_id = client.submit(graph)
        listener.wait_for("progress", prompt_id)
        client.post("/interrupt")
        assert listener.wait_for("execution_interrupted", prompt_id)["node_id"] == "1"
    assert client.wait(prompt_id)["status"]["status_str"] == "error"
