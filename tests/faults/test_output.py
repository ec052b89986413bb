"""Nobody reads what the server writes: it goes on answering, and jobs go on."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.client import Client, wait_until
from tests.conftest import ROOT, START_S, STOP_S
from tests.faults.conftest import assert_works, fault, install

CLOSED = ("bash", "-c", 'exec "$@" >&- 2>&-', "bash")  # starts what follows without both


@contextmanager
def server_that_writes_to(
    output: int, base: Path, *launcher: str
) -> Iterator[tuple[Client, subprocess.Popen[bytes]]]:
    log = base / "log"
    command = [*launcher, sys.executable, str(ROOT / "main.py"), "--port", "0", "--cpu"]
    command += ["--base-directory", str(base)]
    environ = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DARKROOM_ACCESS_LOG": "1"}
    process = subprocess.Popen(
        command,
        env=os.environ | environ | {"DARKROOM_LOG_FILES": f"INFO:{log}"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )

    def address() -> str | None:
        assert process.poll() is None
        found = re.search(r"listening on (\S+)", log.read_text() if log.exists() else "")
        return found and found[1]

    try:
        yield Client(wait_until(address, what="it listens", deadline_s=START_S)), process
    finally:
        process.terminate()
        assert process.wait(STOP_S) == 0


def fill_and_check(client: Client, base: Path) -> None:
    """Write more than any pipe holds, from server and worker."""
    before = assert_works(client)
    for _ in range(700):
        assert client.get("/prompt?" + 200 * "x").status == 200
    client.run(fault("print much"))
    assert assert_works(client) == before
    assert (base / "log").read_text().count("GET /prompt?xxx") == 700
    assert b"GET /prompt?xxx" in client.get("/internal/logs").body


def test_a_server_whose_output_nobody_reads_goes_on(tmp_path: Path) -> None:
    base = install(tmp_path)
    reading, writing = os.pipe()
    with server_that_writes_to(writing, base) as (client, process):
        os.close(writing)
        fill_and_check(client, base)
        client.run(fault("print much"))
        # A reader that comes late finds the first lines, and how many are missing.
        text = b""
        while b"nobody has read them" not in text:
            text += os.read(reading, 1 << 16)
        assert b"listening on" in text
        assert process.poll() is None
        # ... and from then on all that is new.
        assert client.get("/prompt?late").status == 200
        while b"/prompt?late" not in text:
            text += os.read(reading, 1 << 16)
        # It ends in time, too, while nobody reads.
        client.run(fault("print much"))
    os.close(reading)


@pytest.mark.parametrize("kind", ["pipe", pytest.param("terminal", marks=pytest.mark.slow)])
def test_a_server_whose_reader_goes_away_goes_on(tmp_path: Path, kind: str) -> None:
    base = install(tmp_path)
    reading, writing = os.pipe() if kind == "pipe" else pty.openpty()
    with server_that_writes_to(writing, base) as (client, _):
        os.close(writing)
        os.close(reading)
        fill_and_check(client, base)


@pytest.mark.slow
def test_a_server_that_is_started_without_output_works(tmp_path: Path) -> None:
    base = install(tmp_path)
    with server_that_writes_to(subprocess.DEVNULL, base, *CLOSED) as (client, _):
        fill_and_check(client, base)
