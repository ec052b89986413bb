"""Servers with the pack that does the worst."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client, wait_until
from tests.conftest import ROOT, ServerProcess, start_server
from tests.server.graphs import fresh_graph

_seeds = itertools.count(1)


def fault(kind: str, seed: int | None = None) -> dict[str, Any]:
    """A prompt that does it."""
    inputs = {"kind": kind, "seed": next(_seeds) if seed is None else seed}
    return {"1": {"class_type": "Fault", "inputs": inputs}}


def saving_graph() -> dict[str, Any]:
    graph = fresh_graph()
    graph["2"] = {
        "class_type": "SaveImage",
        "inputs": {"images": ["1", 0], "filename_prefix": "kept"},
    }
    return graph


def install(base: Path) -> Path:
    """A base folder with the pack."""
    target = base / "custom_nodes" / "fault_pack"
    shutil.copytree(ROOT / "tests" / "packs" / "fault_pack", target)
    return base


def submit_and_wait_for_start(server: ServerProcess, kind: str, **more: Any) -> str:
    """Queue a prompt; its id once its node runs."""
    prompt = fault(kind)
    prompt_id = server.client.submit(prompt, **more)
    started = server.base / "user" / "started.txt"
    seed = str(prompt["1"]["inputs"]["seed"])
    wait_until(
        lambda: started.exists() and seed in started.read_text().split(), what="the node runs"
    )
    return prompt_id


def assert_works(client: Client) -> int:
    """Run a prompt; the process id of its worker."""
    process_id: int = client.run(fault("nothing"))["outputs"]["1"]["process"][0]
    return process_id


def status_of(client: Client, prompt_id: str) -> str:
    status: str = client.get(f"/api/jobs/{prompt_id}").json()["status"]
    return status


@dataclass(frozen=True)
class Servers:
    """Starts servers of one test. They keep their base folder."""

    folder: Path
    started: list[ServerProcess]

    def __call__(self, *flags: str, name: str = "base", **settings: object) -> ServerProcess:
        """Settings go into the environment."""
        base = self.folder / name
        if not base.exists():
            install(base)
        environ = {f"DARKROOM_{key.upper()}": str(value) for key, value in settings.items()}
        self.started.append(start_server(base, *flags, environ=environ))
        return self.started[-1]


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    made = Servers(tmp_path, [])
    yield made
    for server in made.started:
        server.stop()


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests of a file; it tries a prompt once, for speed."""
    base = install(tmp_path_factory.mktemp("faults"))
    environ = {
        "DARKROOM_JOB_ATTEMPTS": "1",
        "DARKROOM_WORKER_SILENCE": "5",
        "DARKROOM_INTERRUPT_GRACE": "1",
    }
    server = start_server(base, environ=environ)
    yield server
    server.stop()
