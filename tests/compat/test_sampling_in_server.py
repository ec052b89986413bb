"""A pack that samples and patches models, in a real server with the starter model."""

from __future__ import annotations

import copy
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.client import Client, wait_until
from tests.conftest import ROOT, ServerProcess, start_server

PACK = ROOT / "tests" / "packs" / "sampling_pack"
Prompt = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    base = tmp_path_factory.mktemp("base")
    shutil.copytree(PACK, base / "custom_nodes" / PACK.name)
    server = start_server(base)
    wait_until(
        lambda: "PackSampler" in server.client.get("/object_info").json(), what="the pack is loaded"
    )
    yield server
    server.stop()


@pytest.fixture
def client(process: ServerProcess) -> Client:
    return process.client


def text_to_image() -> tuple[Prompt, str]:
    """The example, in few steps, and the name of its sampler."""
    prompt: Prompt = json.loads((Path(ROOT) / "examples" / "text_to_image.json").read_text())
    sampler = next(key for key, node in prompt.items() if node["class_type"] == "KSampler")
    prompt[sampler]["inputs"] |= {"steps": 3, "sampler_name": "euler"}
    return prompt, sampler


def picture(client: Client, prompt: Prompt) -> Any:
    entry = client.wait(client.submit(prompt))
    assert entry["status"]["status_str"] == "success", entry["status"]["messages"]
    (data,) = client.images(entry)
    return np.asarray(Image.open(io.BytesIO(data)), dtype=np.int16)


def test_a_cfg_function_changes_the_picture_as_the_scale_does(client: Client) -> None:
    plain, sampler = text_to_image()
    plain[sampler]["inputs"]["cfg"] = 6.0
    patched = copy.deepcopy(plain)
    patched["guide"] = {
        "class_type": "GuideTwice",
        "inputs": {"model": plain[sampler]["inputs"]["model"], "factor": 2.0},
    }
    patched[sampler]["inputs"] |= {"cfg": 3.0, "model": ["guide", 0]}
    unpatched = copy.deepcopy(plain)
    unpatched[sampler]["inputs"]["cfg"] = 3.0
    wanted = picture(client, plain)
    assert np.abs(picture(client, patched) - wanted).max() <= 1
    assert np.abs(picture(client, unpatched) - wanted).max() > 10


def test_a_packs_own_sampler_and_guider_draw_our_picture(client: Client) -> None:
    ours, sampler = text_to_image()
    theirs = copy.deepcopy(ours)
    theirs[sampler]["class_type"] = "PackSampler"
    for name in ("sampler_name", "denoise"):
        del theirs[sampler]["inputs"][name]
    assert np.abs(picture(client, theirs) - picture(client, ours)).max() <= 1


def test_a_wrapper_stands_around_a_call_of_our_node(client: Client) -> None:
    ours, sampler = text_to_image()
    theirs = copy.deepcopy(ours)
    theirs[sampler]["class_type"] = "CallKSampler"
    entry = client.wait(client.submit(theirs))
    assert entry["outputs"][sampler]["text"] == ["CFGGuider"]
    assert np.abs(picture(client, theirs) - picture(client, ours)).max() <= 1
