"""Flags whose effect only a real server with a real worker shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import wait_until
from tests.conftest import ServerProcess, start_server

GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
    },
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "sub/x"}},
    "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}


@pytest.fixture(scope="module")
def special(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    base = tmp_path_factory.mktemp("special")
    (base / "nodes.yaml").write_text("- ImageInvert\n- NoSuchNode\n")
    server = start_server(
        base,
        *("--disabled-nodes-config", "nodes.yaml"),
        *("--date-based-output", "--date-output-format", "day-%Y"),
        *("--verbose", "WARNING", "quiet.log", "--verbose", "DEBUG", "all.log"),
        *("--models-directory", str(base / "elsewhere")),
    )
    yield server
    server.stop()


def test_a_disabled_node_is_not_registered(special: ServerProcess) -> None:
    names = special.client.get("/object_info").json()
    assert "ImageScale" in names
    assert "ImageInvert" not in names


def test_pictures_are_saved_in_a_folder_of_their_date(special: ServerProcess) -> None:
    outputs = special.client.run(GRAPH)["outputs"]
    (saved,), (shown,) = outputs["2"]["images"], outputs["3"]["images"]
    assert saved["subfolder"] == time.strftime("day-%Y/sub")
    assert (special.base / "output" / saved["subfolder"] / saved["filename"]).is_file()
    assert (shown["type"], shown["subfolder"]) == ("temp", "")


def test_a_log_file_gets_the_lines_of_its_level(special: ServerProcess) -> None:
    special.client.run(GRAPH)
    text = wait_until(lambda: _read(special.base / "all.log"), what="the file has lines")
    assert "INFO    listening on" in text
    assert "INFO    listening on" not in _read(special.base / "quiet.log")


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def test_the_worker_looks_into_the_other_models_folder(special: ServerProcess) -> None:
    (special.base / "elsewhere" / "vae" / "mine.safetensors").touch()
    options = special.client.get("/object_info/VAELoader").json()["VAELoader"]
    assert "mine.safetensors" in options["input"]["required"]["vae_name"][0]
    loading = {"1": {"class_type": "VAELoader", "inputs": {"vae_name": "mine.safetensors"}}}
    image = {"class_type": "VAEDecode", "inputs": {"vae": ["1", 0], "samples": ["3", 0]}}
    latent = {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 1},
    }
    graph = loading | {"2": image, "3": latent}
    graph["4"] = {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}
    entry = special.client.wait(special.client.submit(graph))
    (error,) = [body for kind, body in entry["status"]["messages"] if kind == "execution_error"]
    assert "the file is empty" in error["exception_message"]
