"""The worker's end of the socket: commands in on one thread, events out from any."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

from executor.messages import (
    LENGTH_BYTES,
    MAX_MESSAGE_BYTES,
    Command,
    Emit,
    Event,
    decode_command,
    frame,
)

_FLUSH_AFTER_S = 0.01  # an event may wait this long for company
_FLUSH_BYTES = 1 << 16


class ChannelClosed(Exception):
    """The server is gone."""


class Channel:
    """Sends events, several in one write, and receives commands."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._is_abandoned = False
        self._lock = threading.Lock()  # around the buffer, and around writes to keep their order
        self._buffer = bytearray()
        self._flushed = 0.0

    def abandon(self) -> None:
        """In a process that a node has forked: leave the connection to the worker.

        The server would take what a child says for the worker's words, and an open end for a sign
        that the worker still lives.
        """
        self._is_abandoned = True
        self._lock = threading.Lock()  # whoever held it is not in this process
        self._buffer = bytearray()
        os.close(self._connection.fileno())  # `close` waits for the reader's file, which stays open

    def send(self, event: Event) -> None:
        """Queue an event; it leaves at once unless others have just left and it can wait."""
        if self._is_abandoned:
            raise ChannelClosed("this process is a child of the worker")
        data = frame(event)
        with self._lock:
            self._buffer += data
            # Which node runs must be known should it end the process.
            is_urgent = isinstance(event, Emit) and event.type == "executing"
            due = is_urgent or time.monotonic() >= self._flushed + _FLUSH_AFTER_S
            if due or len(self._buffer) >= _FLUSH_BYTES:
                self._write()

    def flush(self) -> None:
        """Let all queued events leave now. Raises ChannelClosed."""
        with self._lock:
            if self._buffer:
                self._write()

    def _write(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        self._flushed = time.monotonic()

    def commands(self) -> Iterator[Command]:
        """Commands as they come, until the server closes its end."""
        with self._connection.makefile("rb", buffering=1 << 16) as stream:
            while header := stream.read(LENGTH_BYTES):
                size = int.from_bytes(header, "big")
                if len(header) < LENGTH_BYTES or size > MAX_MESSAGE_BYTES:
                    return
                body = stream.read(size)
                if len(body) < size:
                    return
                yield decode_command(body)
