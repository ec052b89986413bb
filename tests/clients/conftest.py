"""The fetched clients, a server for them, and what came of driving it with each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.clients import install
from tests.clients.drivers import DRIVERS, HERE, Driver, run
from tests.conftest import ROOT, ServerProcess, start_server

STEPS = 10
COLOUR = (0, 128, 128)


@pytest.fixture(scope="session")
def python_clients() -> Path:
    """The interpreter that has them."""
    try:
        install.fetch_python()
    except install.CannotFetch as error:
        pytest.skip(str(error))
    return install.PYTHON


@pytest.fixture(scope="session")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the JavaScript drivers, from which their imports find the clients."""
    try:
        install.fetch_javascript()
    except install.CannotFetch as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("javascript")
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder)
    (folder / "node_modules").symlink_to(install.JAVASCRIPT_FOLDER / "node_modules")
    return folder


@pytest.fixture(scope="session")
def clients_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of their own: they interrupt and count what runs."""
    server = start_server(tmp_path_factory.mktemp("clients_base"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """No proxy, no home with settings of this machine, nothing that reports usage."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    home = str(tmp_path_factory.mktemp("home"))
    return kept | {"HOME": home, "XDG_CONFIG_HOME": home, "DO_NOT_TRACK": "1"}


def write_task(folder: Path, address: str, seed: int) -> Path:
    """What a driver is to do; another seed is another picture, which no earlier driver made."""
    Image.new("RGB", (40, 30), COLOUR).save(folder / "teal.png")
    graphs = {
        "graph": _text_to_image(STEPS, seed),
        "other": _text_to_image(STEPS, seed + 100),
        "bad": _text_to_image(1, seed, "none.safetensors"),
        "long": _text_to_image(5000, seed),
        "show": _show(),
    }
    for name, graph in graphs.items():
        (folder / f"{name}.json").write_text(json.dumps(graph), "utf-8")
    task: dict[str, Any] = {
        **graphs,
        **{f"{name}_file": str(folder / f"{name}.json") for name in graphs},
        "address": address,
        "steps": STEPS,
        "seed": seed,
        "picture": str(folder / "teal.png"),
        "tiny": [_tiny(colour) for colour in (seed, seed + 100, seed + 200, 0, 0, 0)],
    }
    file = folder / "task.json"
    file.write_text(json.dumps(task), "utf-8")
    return file


@pytest.fixture(scope="session")
def result_of(
    request: pytest.FixtureRequest,
    clients_server: ServerProcess,
    environ: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[Driver], dict[str, Any]]:
    """What came of a driver; each is run once."""
    results: dict[Driver, dict[str, Any]] = {}

    def run_once(driver: Driver) -> dict[str, Any]:
        if driver not in results:
            command: list[str | Path]
            if driver.is_python:
                command = [request.getfixturevalue("python_clients"), HERE / driver.script]
            else:
                command = ["node", request.getfixturevalue("javascript") / driver.script]
            folder = tmp_path_factory.mktemp("task")
            task = write_task(folder, clients_server.address, seed=DRIVERS.index(driver))
            results[driver] = run([*command, task], environ)[-1]
        return results[driver]

    return run_once


def _text_to_image(steps: int, seed: int, checkpoint: str = "darkroom_starter.safetensors") -> Any:
    graph = json.loads((ROOT / "examples" / "text_to_image.json").read_text("utf-8"))
    graph["3"]["inputs"] |= {"steps": steps, "seed": seed}
    graph["4"]["inputs"]["ckpt_name"] = checkpoint
    return graph


def _tiny(colour: int) -> Any:
    """A job of a few milliseconds."""
    size = {"width": 16, "height": 16, "batch_size": 1}
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": size | {"color": colour},
            "_meta": {"title": "Colour"},
        },
        "9": {
            "class_type": "PreviewImage",
            "inputs": {"images": ["1", 0]},
            "_meta": {"title": "Save"},
        },
    }


def _show() -> Any:
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": "to be set"}},
        "9": {
            "class_type": "SaveImage",
            "inputs": {"images": ["1", 0], "filename_prefix": "shown"},
            "_meta": {"title": "Save"},
        },
    }
