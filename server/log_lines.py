"""The last log lines, kept for clients, and their way to the sockets that asked for them."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections import deque
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from server import frames
from server.redaction import redact

Client = TypeVar("Client", bound=Hashable)  # how sockets are found

LONGEST_ENTRY: Final = 16 * 1024  # characters; the rest of a longer text is left out
BATCH_S: Final = 0.1  # lines of that time go out in one message

_LINE: Final = "%(levelname)-7s %(message)s"
_TERMINAL: Final = (120, 30)  # columns and rows, where there is no terminal


class LogEntry(msgspec.Struct, frozen=True):
    """One record, as clients see it."""

    t: str  # ISO time
    m: str  # level and text, with a line feed at its end


class LogRing(logging.Handler):
    """Keeps the last records, without secrets. Threads may log at the same time."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(_LINE))
        self.on_entry: Callable[[], None] | None = None  # told of each one, in its thread
        self._entries: deque[LogEntry] = deque(maxlen=lines)
        self._count = 0  # of all entries ever

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record; logging has locked this handler."""
        try:
            moment = datetime.fromtimestamp(record.created, UTC)
            text = redact(self.format(record)[:LONGEST_ENTRY])
            self._entries.append(LogEntry(moment.isoformat(), text + "\n"))
            self._count += 1
            if self.on_entry is not None:
                self.on_entry()
        except Exception:
            self.handleError(record)

    def since(self, number: int) -> tuple[list[LogEntry], int]:
        """The entries after the first `number` ones, as far as they are kept; how many there were.

        `since(0)` gives all that are kept.
        """
        self.acquire()
        try:
            new = min(self._count - number, len(self._entries))
            return list(self._entries)[len(self._entries) - new :], self._count
        finally:
            self.release()


class Subscriber(Protocol):
    """Takes frames: a socket."""

    def send(self, frame: bytes) -> None: ...


class LogFeed(Generic[Client]):
    """Sends new lines to the clients that want them. Lives on the event loop.

    A line that is logged while lines are sent wakes nobody: it goes out with the next one. So
    sending can log, at any level, without feeding itself.
    """

    def __init__(
        self,
        ring: LogRing,
        find_socket: Callable[[Client], Subscriber | None],
        *,
        batch_s: float = BATCH_S,
    ) -> None:
        self.ring = ring
        self._batch_s = batch_s
        self._find_socket = find_socket
        self._subscribers: dict[Client, Subscriber] = {}
        self._sent = 0  # entries of the ring that are sent, or older than the first subscriber
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._is_sending = False
        self._is_due = False
        ring.on_entry = self._wake

    def close(self) -> None:
        """Send no more."""
        self.ring.on_entry = None
        self._subscribers.clear()

    def subscribe(self, client: Client, *, enabled: bool) -> None:
        """Begin or stop to send to the open socket of a client; without one nothing happens."""
        self._flush()  # the others' lines are not new to this one
        self._subscribers.pop(client, None)
        socket = self._find_socket(client)
        if enabled and socket is not None:
            self._subscribers[client] = socket

    def _wake(self) -> None:
        """A line was logged, in any thread."""
        if self._is_due or not self._subscribers:
            return
        if self._is_sending and threading.get_ident() == self._loop_thread:
            return
        self._is_due = True
        self._loop.call_soon_threadsafe(self._loop.call_later, self._batch_s, self._flush)

    def _flush(self) -> None:
        self._is_due = False  # first: what is logged from here on asks for the next turn
        entries, self._sent = self.ring.since(self._sent)
        self._subscribers = {
            client: socket
            for client, socket in self._subscribers.items()
            if self._find_socket(client) is socket
        }
        if not entries or not self._subscribers:
            return
        frame = frames.message_frame("logs", {"entries": entries, "size": terminal_size()})
        self._is_sending = True
        try:
            for socket in self._subscribers.values():
                socket.send(frame)
        finally:
            self._is_sending = False


def terminal_size() -> dict[str, Any]:
    """The terminal that the lines are meant for."""
    columns, rows = shutil.get_terminal_size(_TERMINAL)
    return {"cols": columns, "rows": rows}
