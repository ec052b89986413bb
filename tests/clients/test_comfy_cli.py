"""comfy-cli: `comfy run` and the commands around it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tests.client import wait_until
from tests.clients.conftest import COLOUR, STEPS, write_task
from tests.clients.drivers import run
from tests.conftest import ServerProcess

pytestmark = pytest.mark.clients

Comfy = Callable[..., Any]


@pytest.fixture
def comfy(python_clients: Path, environ: dict[str, str], clients_server: ServerProcess) -> Comfy:
    """Runs the command; its lines of JSON, of which the last is the result."""
    more = {"COMFY_LOCAL_URL": clients_server.address, "COMFY_NO_WATCH": "1"}

    def run_command(*arguments: str | Path) -> Any:
        return run([python_clients, "-m", "comfy_cli", "--json", *arguments], environ | more)

    return run_command


@pytest.fixture
def task(clients_server: ServerProcess, tmp_path: Path) -> Path:
    """The file that says what to do; the workflows are beside it."""
    return write_task(tmp_path, clients_server.address, seed=50)


@pytest.fixture
def run_workflow(comfy: Comfy, task: Path, clients_server: ServerProcess) -> Comfy:
    """`comfy run` of one of the task's workflows."""
    address = urlsplit(clients_server.address)
    where = ["--host", str(address.hostname), "--port", str(address.port)]

    def run_named(name: str, *flags: str) -> Any:
        return comfy("run", "--workflow", task.parent / f"{name}.json", *where, *flags)

    return run_named


def test_run_draws_a_picture_and_download_fetches_it(
    run_workflow: Comfy, comfy: Comfy, tmp_path: Path
) -> None:
    done = run_workflow("graph", "--wait")[-1]
    assert done["ok"], done
    assert done["data"]["status"] == "completed"
    assert len(done["data"]["outputs"]) == 1
    fetched = comfy("download", done["data"]["prompt_id"], "-o", tmp_path)[-1]
    (file,) = fetched["data"]["files"]
    picture = Image.open(file["path"])
    assert picture.size == (128, 128)
    red, _, blue = picture.convert("RGB").getpixel((3, 3))  # type: ignore[misc]
    assert blue > red + 30

    # Nothing is run again, and the outputs are told all the same.
    again = run_workflow("graph", "--wait")[-1]
    assert "9" in again["data"]["cached_node_ids"]
    assert again["data"]["outputs"] == done["data"]["outputs"]


def test_a_refused_workflow_is_explained(run_workflow: Comfy) -> None:
    refused = run_workflow("bad", "--wait")[-1]
    assert not refused["ok"]
    assert "none.safetensors" in refused["error"]["hint"]


def test_a_job_is_watched_and_cancelled(
    run_workflow: Comfy, comfy: Comfy, clients_server: ServerProcess
) -> None:
    prompt_id = run_workflow("long", "--no-watch")[-1]["data"]["prompt_id"]
    queue = clients_server.client.get
    wait_until(lambda: queue("/queue").json()["queue_running"], what="the job runs")
    assert comfy("jobs", "status", prompt_id)[-1]["data"]["status"] == "running"
    assert comfy("jobs", "cancel", prompt_id)[-1]["data"]["found"]
    waited = comfy("jobs", "wait", prompt_id)[-1]
    assert waited["error"]["details"]["cancelled"] == 1


def test_an_image_is_uploaded(comfy: Comfy, task: Path, clients_server: ServerProcess) -> None:
    (sent,) = comfy("upload", task.parent / "teal.png")[-1]["data"]["uploads"]
    entry = {"filename": sent["cloud_name"], "subfolder": sent["subfolder"], "type": sent["type"]}
    stored = Image.open(io.BytesIO(clients_server.client.view(entry)))
    assert (stored.size, stored.getpixel((0, 0))) == ((40, 30), COLOUR)


def test_the_steps_of_a_job_are_shown(run_workflow: Comfy) -> None:
    lines = run_workflow("other", "--wait", "--json")
    steps = [line["completed"] for line in lines if line.get("type") == "progress"]
    # The program leaves out what comes too soon after another, also the last.
    assert steps
    assert steps == sorted({*steps} & {*range(1, STEPS + 1)})
    kinds = [line.get("type") for line in lines]
    assert kinds[:2] == ["prompt_preview", "queued"]
    assert kinds[-3:] == ["executed", "output", "envelope"]
