"""The server dies, is stopped, or is started twice: no accepted prompt is lost."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.client import wait_until
from tests.conftest import ROOT
from tests.faults.conftest import (
    Servers,
    assert_works,
    fault,
    status_of,
    submit_and_wait_for_start,
)


def ids_of(items: list[list[object]]) -> list[object]:
    return [item[1] for item in items]


def test_a_killed_server_goes_on_where_it_was(servers: Servers) -> None:
    first = servers(job_attempts=5)
    client = first.client
    done = client.submit(fault("nothing"))
    entry = client.wait(done)
    running = submit_and_wait_for_start(first, "sleep")
    cancelled = client.submit(fault("sleep"))
    client.post("/queue", {"delete": [cancelled]})
    waiting = [client.submit(fault("nothing"), number=number) for number in (30, 10, 20)]
    in_order = [waiting[1], waiting[2], waiting[0]]
    first.process.kill()
    first.process.wait()

    second = servers(job_attempts=5)
    client = second.client
    queue = client.get("/queue").json()
    assert ids_of(queue["queue_running"] + queue["queue_pending"]) == [running, *in_order]
    assert client.history(done) == entry
    assert client.get(f"/api/jobs/{cancelled}").json()["status"] == "cancelled"
    # The one that ran is run again, the others after it.
    _wait_for_starts(second.base / "user" / "started.txt", 3)
    client.post("/api/jobs/" + running + "/cancel")
    ends = [client.wait(prompt_id)["status"]["status_str"] for prompt_id in in_order]
    assert ends == 3 * ["success"]
    assert list(client.get("/history").json()) == [done, running, *in_order]


@pytest.mark.parametrize(
    ("attempts", "told"), [(1, "once"), pytest.param(2, "2 times", marks=pytest.mark.slow)]
)
def test_a_prompt_that_was_running_when_servers_died_is_not_run_for_ever(
    servers: Servers, attempts: int, told: str
) -> None:
    prompt_id = ""
    for _ in range(attempts):
        server = servers(job_attempts=attempts)
        if not prompt_id:
            prompt_id = submit_and_wait_for_start(server, "sleep", prompt_id="again")
        _wait_for_starts(server.base / "user" / "started.txt", len(servers.started))
        # What is shown is written down: in its first milliseconds an attempt may not be, yet.
        assert status_of(server.client, prompt_id) == "in_progress"
        server.process.kill()
        server.process.wait()

    client = servers(job_attempts=attempts).client
    status = client.wait(prompt_id)["status"]
    assert status["status_str"] == "error"
    assert f"tried {told}" in status["messages"][-1][1]["exception_message"]
    assert_works(client)


def _wait_for_starts(path: Path, count: int) -> None:
    wait_until(
        lambda: path.exists() and len(path.read_text().split()) == count, what="the node runs"
    )


@pytest.mark.slow
def test_a_stopped_server_parks_what_runs_in_time(servers: Servers) -> None:
    first = servers()
    running = submit_and_wait_for_start(first, "hold the lock")
    began = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - began < 10
    queue = servers().client.get("/queue").json()
    assert ids_of(queue["queue_running"] + queue["queue_pending"]) == [running]


def test_a_second_server_on_the_folder_is_refused_and_touches_nothing(servers: Servers) -> None:
    first = servers()
    kept = first.base / "temp" / "kept.png"
    kept.write_bytes(b"picture")
    other_database = f"sqlite:///{servers.folder / 'other.db'}"
    for flags in ([], ["--database-url", other_database]):
        command = [sys.executable, str(ROOT / "main.py"), "--cpu", "--port", "0"]
        command += ["--base-directory", str(first.base), *flags]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert f"in use by the server with process id {first.process.pid}" in second.stderr
        assert "Traceback" not in second.stderr
    assert kept.read_bytes() == b"picture"
    assert_works(first.client)
