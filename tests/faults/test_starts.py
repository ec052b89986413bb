"""Workers that cannot start, or are not allowed to: the API answers and says so."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

from tests.client import wait_until
from tests.conftest import ROOT, ServerProcess, start_server
from tests.faults.conftest import Servers, assert_works, fault, install, status_of


def test_a_server_whose_workers_cannot_start_says_so(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "torch.py").write_text("raise ImportError('a library is missing')\n")
    base = install(tmp_path / "base")
    search_path = os.pathsep.join([str(broken), str(ROOT)])
    server = start_server(base, environ={"PYTHONPATH": search_path})
    client = server.client
    for path in ("/queue", "/history", "/prompt", "/system_stats", "/api/jobs"):
        assert client.get(path).status == 200
    refused = client.post("/prompt", {"prompt": fault("nothing")})
    assert (refused.status, refused.json()["error"]["type"]) == (503, "not_ready")
    assert "no worker can start" in refused.json()["error"]["details"]
    server.wait_for_log("a library is missing")
    server.stop()

    # Once it was known which nodes there are, prompts are accepted: they wait.
    mended = start_server(base)
    assert_works(mended.client)
    mended.stop()
    server = start_server(base, environ={"PYTHONPATH": search_path})
    prompt_id = server.client.submit(fault("nothing"))
    assert status_of(server.client, prompt_id) == "pending"
    server.stop()


def worker_of(server: ServerProcess) -> psutil.Process | None:
    for process in psutil.Process(server.process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended just now
            if "executor.worker" in process.cmdline():
                return process
    return None


def test_a_worker_that_is_killed_again_and_again_while_it_starts_comes_up_whole(
    servers: Servers,
) -> None:
    server = servers()
    for _ in range(3):
        wait_until(lambda: worker_of(server), what="a worker starts").kill()
    assert_works(server.client)  # with the pack that it was killed in
