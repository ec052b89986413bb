"""Fixtures that several folders share: a real server as a process, and clients of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client, wait_until

# Before torch is imported. Threads that wait for each other are many times slower where other
# programs run on the same cores, and these tensors are small.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parent.parent
START_S = 90.0  # generous: machines that run tests may be busy
STOP_S = 10.0
_ADDRESS = re.compile(r"listening on (https?://\S+)")


@dataclass
class ServerProcess:
    """A server that runs as a process of its own, on a free port, in a folder of its own."""

    process: subprocess.Popen[str]
    base: Path
    log: list[str]  # lines so far
    address: str = ""

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()

    @property
    def client(self) -> Client:
        """A new client, with a client id of its own."""
        return Client(self.address)

    def _read_log(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                self.log.append(line.rstrip("\n"))

    def wait_for_log(self, *parts: str) -> None:
        """Wait for a line with these parts: what is logged comes through a pipe or two."""
        wait_until(
            lambda: any(all(part in line for part in parts) for line in self.log),
            what=f"the log says {parts}",
        )

    def find_address(self) -> str | None:
        """Where it listens, from its log."""
        if self.process.poll() is not None:
            raise AssertionError("the server ended at once:\n" + "\n".join(self.log))
        found = [match[1] for line in self.log if (match := _ADDRESS.search(line))]
        return found[0] if found else None

    def stop(self) -> int:
        """Ask it to end, as a service manager would; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError("the server did not end after SIGTERM") from None
        finally:
            self.reader.join(STOP_S)


def start_server(
    base: Path,
    *flags: str,
    environ: dict[str, str] | None = None,
    launcher: Sequence[str] = (),
) -> ServerProcess:
    """Start a server on the CPU; returns when it listens (its worker may still be starting).

    `launcher` is a command that starts the one after it.
    """
    command = [*launcher, sys.executable, str(ROOT / "main.py"), "--port", "0", "--cpu"]
    command += ["--base-directory", str(base), *flags]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("DARKROOM_")}
    process = subprocess.Popen(
        command,
        cwd=base,
        env={"OMP_NUM_THREADS": "1"} | clean | {"PYTHONPATH": str(ROOT)} | (environ or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",  # nodes may print what is no text
        start_new_session=True,
    )
    server = ServerProcess(process, base, [])
    server.address = wait_until(server.find_address, what="the server listens", deadline_s=START_S)
    return server


@pytest.fixture(scope="session")
def server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that only use it as clients do."""
    server = start_server(tmp_path_factory.mktemp("base"))
    yield server
    server.stop()


@pytest.fixture
def server(server_process: ServerProcess) -> Client:
    """A client of the shared server, with a client id of its own."""
    return server_process.client


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers of this test's own: `new_server("--flag", ...)`."""
    started: list[ServerProcess] = []

    def start(*flags: str, base: Path | None = None, **more: Any) -> ServerProcess:
        folder = base or tmp_path / f"base{len(started)}"
        folder.mkdir(exist_ok=True)
        started.append(start_server(folder, *flags, **more))
        return started[-1]

    yield start
    for server in started:
        server.stop()
