"""Signals that a terminal, a service manager or a person sends: none of them costs a prompt."""

from __future__ import annotations

import contextlib
import signal
import time

import pytest

from tests.conftest import STOP_S, start_server
from tests.faults.conftest import Servers, assert_works, fault, install, submit_and_wait_for_start
from tests.faults.test_servers import ids_of
from tests.faults.test_storage import locked

NOHUP = ("bash", "-c", 'trap "" HUP; exec "$@"', "bash")  # starts what follows


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([signal.SIGHUP], id="SIGHUP"),
        pytest.param([signal.SIGINT, signal.SIGINT], id="SIGINT twice", marks=pytest.mark.slow),
        pytest.param([signal.SIGTERM, signal.SIGTERM], id="SIGTERM twice", marks=pytest.mark.slow),
        pytest.param([signal.SIGHUP, signal.SIGTERM], id="both", marks=pytest.mark.slow),
    ],
)
def test_what_ends_a_server_costs_no_prompt(
    servers: Servers, numbers: list[signal.Signals]
) -> None:
    first = servers()
    running = submit_and_wait_for_start(first, "hold the lock")
    waiting = first.client.submit(fault("nothing"))
    began = time.monotonic()
    for number in numbers:
        first.process.send_signal(number)
    first.process.wait(STOP_S)
    assert time.monotonic() - began < 10
    queue = servers().client.get("/queue").json()
    assert ids_of(queue["queue_running"] + queue["queue_pending"]) == [running, waiting]


@pytest.mark.slow
def test_a_server_under_nohup_survives_its_terminal(servers: Servers) -> None:
    base = install(servers.folder / "base")
    server = start_server(base, launcher=NOHUP)
    servers.started.append(server)
    worker = assert_works(server.client)
    server.process.send_signal(signal.SIGHUP)
    assert assert_works(server.client) == worker


def test_a_signal_while_a_server_starts_costs_no_prompt(servers: Servers) -> None:
    first = servers()
    running = submit_and_wait_for_start(first, "sleep")
    waiting = first.client.submit(fault("nothing"))
    first.process.kill()
    first.process.wait()
    for is_locked in (True, False):
        with locked(first.base) if is_locked else contextlib.nullcontext():
            server = servers(job_attempts=5)
            assert server.stop() in (0, 1)  # in time; 1: it could not open the database
    queue = servers(job_attempts=5).client.get("/queue").json()
    assert ids_of(queue["queue_running"] + queue["queue_pending"]) == [running, waiting]
