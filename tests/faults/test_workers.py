"""Whatever a prompt does to its worker: the API answers, the prompt ends, the next one runs."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

from tests.client import Client, wait_until
from tests.conftest import ServerProcess
from tests.faults.conftest import (
    Servers,
    assert_works,
    fault,
    saving_graph,
    status_of,
    submit_and_wait_for_start,
)

ENDS = ("execution_success", "execution_error", "execution_interrupted")


def error_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The data of the last message of a failed run."""
    kind, data = entry["status"]["messages"][-1]
    assert (kind, entry["status"]["status_str"]) == ("execution_error", "error")
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("segfault", "SIGSEGV"),
        pytest.param("kill", "SIGKILL", marks=pytest.mark.slow),
        ("exit", "exit code 7"),
        pytest.param("hold the lock", "reported nothing for 5 s", marks=pytest.mark.slow),
    ],
)
def test_a_prompt_that_ends_its_worker_fails_with_the_reason_and_the_next_one_runs(
    faulty: ServerProcess, kind: str, reason: str
) -> None:
    client = faulty.client
    before = assert_works(client)
    with client.listen() as listener:
        prompt_id = client.submit(fault(kind))
        told = listener.wait_for("execution_error", prompt_id)
        assert client.get("/system_stats").status == 200
    error = error_of(client.wait(prompt_id))
    assert error == told
    assert reason in error["exception_message"]
    assert error["node_id"] == "1"
    assert status_of(client, prompt_id) == "failed"
    assert assert_works(client) != before


@pytest.mark.parametrize(
    ("kind", "exception_type"),
    [
        ("memory error", "MemoryError"),
        ("device memory", "torch.OutOfMemoryError"),
        ("SystemExit", "SystemExit"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("GeneratorExit", "GeneratorExit"),
        ("bytes", None),
        ("object", None),
        ("set", None),
    ],
)
def test_a_prompt_whose_node_fails_leaves_the_worker_as_it_is(
    faulty: ServerProcess, kind: str, exception_type: str | None
) -> None:
    client = faulty.client
    before = assert_works(client)
    entry = client.wait(client.submit(fault(kind)))
    if exception_type is not None:
        assert error_of(entry)["exception_type"] == exception_type
    assert assert_works(client) == before


def test_a_prompt_whose_check_ends_every_worker_is_refused(faulty: ServerProcess) -> None:
    prompt = fault("exit")
    prompt["1"]["class_type"] = "FaultyCheck"
    refused = faulty.client.post("/prompt", {"prompt": prompt})
    assert refused.status == 400
    [error] = refused.json()["node_errors"]["1"]["errors"]
    assert error["type"] == "exception_during_validation"
    assert "exit code 7" in error["details"]
    assert_works(faulty.client)


def hanging_check(kind: str = "sleep") -> dict[str, Any]:
    prompt = fault(kind)
    prompt["1"]["class_type"] = "FaultyCheck"
    return prompt


def test_a_prompt_whose_check_hangs_is_refused_and_nobody_waits_for_it(servers: Servers) -> None:
    client = servers(check_timeout=4, job_attempts=1).client
    before = assert_works(client)
    running = client.submit(fault("wait"))
    with ThreadPoolExecutor() as threads:
        began = time.monotonic()
        refused = threads.submit(client.post, "/prompt", {"prompt": hanging_check()})
        # Meanwhile others' checks are answered by the same worker.
        while not refused.done():
            assert client.post("/prompt", {"prompt": hanging_check("error")}).status == 400
    assert time.monotonic() - began < 12
    assert refused.result().status == 400
    [error] = refused.result().json()["node_errors"]["1"]["errors"]
    assert error["type"] == "exception_during_validation"
    assert error["details"] == "the check of 'FaultyCheck' took longer than 4 s"
    # The prompt that runs goes on; once it has ended the worker is replaced.
    assert status_of(client, running) == "in_progress"
    client.post("/interrupt", {"prompt_id": running})
    assert client.wait(running)["status"]["messages"][-1][0] == "execution_interrupted"
    assert assert_works(client) != before


@pytest.mark.slow
def test_an_idle_worker_in_which_a_check_holds_the_lock_is_replaced(servers: Servers) -> None:
    client = servers(check_timeout=2).client
    before = assert_works(client)
    refused = client.post("/prompt", {"prompt": hanging_check("hold the lock")})
    assert refused.status == 400
    assert "took longer than 2 s" in refused.json()["node_errors"]["1"]["errors"][0]["details"]
    assert assert_works(client) != before


def test_device_memory_that_runs_out_once_costs_nothing(faulty: ServerProcess) -> None:
    prompt = fault("device memory once")
    seed = prompt["1"]["inputs"]["seed"]
    entry = faulty.client.run(prompt)
    assert entry["status"]["status_str"] == "success"
    started = (faulty.base / "user" / "started.txt").read_text().split()
    assert started.count(str(seed)) == 2


def test_the_api_answers_while_a_worker_hangs(faulty: ServerProcess) -> None:
    prompt_id = submit_and_wait_for_start(faulty, "hold the lock")
    client = faulty.client
    waiting = client.submit(fault("nothing"))
    paths = ("/queue", "/history", "/prompt", "/object_info", "/system_stats", "/api/jobs")
    assert {path: client.get(path).status for path in paths} == dict.fromkeys(paths, 200)
    assert "reported nothing" in error_of(client.wait(prompt_id))["exception_message"]
    assert client.wait(waiting)["status"]["status_str"] == "success"


@pytest.mark.parametrize("kind", ["sleep", pytest.param("hold the lock", marks=pytest.mark.slow)])
def test_an_interrupted_prompt_that_does_not_yield_costs_its_worker(
    faulty: ServerProcess, kind: str
) -> None:
    client = faulty.client
    with client.listen() as listener:
        before = assert_works(client)
        prompt_id = submit_and_wait_for_start(faulty, kind, client_id=client.client_id)
        waiting = client.submit(fault("nothing"))
        client.post("/interrupt", {"prompt_id": prompt_id})
        told = listener.wait_for("execution_interrupted", prompt_id)
        assert told["node_id"] == "1"
        listener.wait_for_end(prompt_id)
    entry = client.wait(prompt_id)
    assert entry["status"]["messages"][-1] == ["execution_interrupted", told]
    assert status_of(client, prompt_id) == "cancelled"
    assert client.wait(waiting)["outputs"]["1"]["process"] != [before]


def test_of_two_cancellers_one_wins_and_what_has_ended_cannot_be_cancelled(
    faulty: ServerProcess,
) -> None:
    client = faulty.client
    running = submit_and_wait_for_start(faulty, "sleep")
    waiting = client.submit(fault("nothing"))

    def cancel(prompt_id: str) -> bool:
        is_cancelled: bool = client.post(f"/api/jobs/{prompt_id}/cancel").json()["cancelled"]
        return is_cancelled

    for prompt_id in (waiting, running):
        assert [cancel(prompt_id), cancel(prompt_id)] == [True, False]
    client.wait(running)
    assert [cancel(running), cancel(waiting)] == [False, False]
    assert [status_of(client, x) for x in (running, waiting)] == ["cancelled", "cancelled"]
    assert_works(client)


def test_what_a_canceller_was_told_is_how_the_prompt_ends(faulty: ServerProcess) -> None:
    client = faulty.client
    assert_works(client)
    told = []
    delay_s = 0.0
    for _ in range(60):
        prompt_id = client.submit(fault("nothing"))
        # Cancel around the moment of the end, wherever that is on this machine.
        end = time.monotonic() + delay_s
        while time.monotonic() < end:
            pass
        is_cancelled = client.post(f"/api/jobs/{prompt_id}/cancel").json()["cancelled"]
        told.append(is_cancelled)
        delay_s = delay_s + 0.002 if is_cancelled else max(delay_s - 0.002, 0)
        status = wait_until(lambda: _end_of(client, prompt_id), what="the prompt ends")  # noqa: B023
        assert status == ("cancelled" if is_cancelled else "completed")
    assert {True, False} == set(told)


def _end_of(client: Client, prompt_id: str) -> str | None:
    status = status_of(client, prompt_id)
    return None if status in ("pending", "in_progress") else status


@pytest.mark.parametrize(
    ("kind", "costs_the_worker"),
    [
        ("go on twice", False),
        ("put others in place", False),
        ("log much", False),
        ("long message", False),
        ("open all files", True),
        pytest.param("close what is open", True, marks=pytest.mark.slow),
        ("leave a child and end", True),
    ],
)
def test_what_a_node_leaves_behind_does_not_meet_the_next_prompt(
    faulty: ServerProcess, kind: str, costs_the_worker: bool
) -> None:
    client = faulty.client
    before = assert_works(client)
    with client.listen() as listener:
        prompt_id = client.submit(fault(kind))
        listener.wait_for_end(prompt_id)
        client.wait(prompt_id)
        ends = [kind for kind in listener.kinds(prompt_id) if kind in ENDS]
    assert len(ends) == 1
    client.run(saving_graph())
    assert (assert_works(client) != before) is costs_the_worker


@pytest.mark.slow
def test_a_prompt_that_kills_every_worker_is_given_up(servers: Servers) -> None:
    server = servers(job_attempts=2)
    client = server.client
    prompt = fault("exit")
    error = error_of(client.wait(client.submit(prompt)))
    assert "The job was tried 2 times and is given up" in error["exception_message"]
    started = (server.base / "user" / "started.txt").read_text().split()
    assert started.count(str(prompt["1"]["inputs"]["seed"])) == 2
    assert_works(client)


def test_a_worker_that_is_killed_from_outside_costs_a_prompt_one_attempt(servers: Servers) -> None:
    server = servers()
    client = server.client
    worker = assert_works(client)
    prompt_id = submit_and_wait_for_start(server, "sleep")
    os.kill(worker, signal.SIGKILL)
    queue = wait_until(
        lambda: _running_again(client, server, prompt_id), what="the prompt runs again"
    )
    assert [item[1] for item in queue] == [prompt_id]


def _running_again(client: Client, server: ServerProcess, prompt_id: str) -> Any:
    started = (server.base / "user" / "started.txt").read_text().split()
    return len(started) == 3 and client.get("/queue").json()["queue_running"]


def test_a_worker_over_its_memory_limit_fails_the_prompt_only(servers: Servers) -> None:
    client = servers(worker_memory_limit=4).client
    before = assert_works(client)
    error = error_of(client.wait(client.submit(fault("fill memory"))))
    assert "memory" in error["exception_message"]
    assert assert_works(client) == before


def test_a_worker_is_replaced_after_as_many_prompts_as_it_may_run(servers: Servers) -> None:
    client = servers(worker_max_prompts=2).client
    ids = [client.submit(fault("nothing")) for _ in range(3)]
    processes = [client.wait(prompt_id)["outputs"]["1"]["process"][0] for prompt_id in ids]
    first, second = dict.fromkeys(processes)
    assert processes == [first, first, second]


@pytest.mark.slow
def test_a_worker_that_keeps_much_memory_is_replaced_after_its_prompt(servers: Servers) -> None:
    client = servers(worker_max_memory=0.01).client
    assert assert_works(client) != assert_works(client)


def test_a_hung_worker_does_not_outlive_a_killed_server(servers: Servers) -> None:
    server = servers()
    worker = psutil.Process(assert_works(server.client))
    submit_and_wait_for_start(server, "hold the lock")
    server.process.kill()
    server.process.wait()
    assert not psutil.wait_procs([worker], timeout=20)[1]
