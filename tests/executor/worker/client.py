"""The server's end of a worker process, for tests."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from executor.messages import (
    LENGTH_BYTES,
    Command,
    Event,
    Execute,
    Finished,
    Heartbeat,
    Log,
    decode_event,
    frame,
)

ROOT = Path(__file__).resolve().parents[3]
E = TypeVar("E", bound=Event)


class Client:
    """Speaks with one worker process."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self.process = process
        self._connection = connection
        self._stream = connection.makefile("rb")

    def send(self, command: Command) -> None:
        """Send a command."""
        self._connection.sendall(frame(command))

    def next(self) -> Event:
        """The next event."""
        size = int.from_bytes(self._stream.read(LENGTH_BYTES), "big")
        assert size, "the worker closed the socket"
        event: Event = decode_event(self._stream.read(size))
        return event

    def wait_for(self, kind: type[E]) -> E:
        """The next event of a kind; others are skipped."""
        while not isinstance(event := self.next(), kind):
            pass
        return event

    def run(self, graph: dict[str, Any], *outputs: str, prompt_id: str = "p") -> list[Event]:
        """Run a graph; its events without heartbeats and logs."""
        self.send(Execute(prompt_id=prompt_id, prompt=graph, outputs=list(outputs), extra_data={}))
        events: list[Event] = []
        while not (events and isinstance(events[-1], Finished)):
            event = self.next()
            if not isinstance(event, Heartbeat | Log):
                events.append(event)
        return events

    def hang_up(self) -> None:
        """Close our end, as a server that died."""
        self._stream.close()
        self._connection.close()


@contextmanager
def worker(module: str, *arguments: str, wait_s: float = 120) -> Iterator[Client]:
    """A worker process of a module; it is ended at the end."""
    ours, theirs = socket.socketpair()
    ours.settimeout(wait_s)
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--fd", str(theirs.fileno()), *arguments],
        cwd=ROOT,
        pass_fds=(theirs.fileno(),),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    theirs.close()
    client = Client(process, ours)
    try:
        yield client
    finally:
        client.hang_up()
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=30)
        process.kill()
        process.wait()
