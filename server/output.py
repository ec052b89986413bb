"""Standard output and error that never keep anybody waiting.

A script, a service manager or a terminal may stop to read what the server writes, or go away. What
the server and its workers write there passes through pipes that are always read; what nobody takes
is left out and counted.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

KEPT_BYTES: Final = 1 << 20  # that wait for a slow reader
_CHUNK: Final = 1 << 16
_LAST_S: Final = 1.0  # how long what is left may take to be written at the end
_STDOUT, _STDERR = 1, 2


class _Relay:
    """A pipe; what is written to its entry goes to the target, as far as that takes it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._exit, self.entry = os.pipe()
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._left_out = 0  # lines
        self._is_over = False
        self._changed = threading.Condition()  # around all of these: two threads share them
        self._threads = [threading.Thread(target=f, daemon=True) for f in (self._read, self._write)]
        for thread in self._threads:
            thread.start()

    def finish(self) -> None:
        """Wait a moment for what is left. Nobody of ours writes to the entry any more."""
        os.close(self.entry)
        deadline = time.monotonic() + _LAST_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _read(self) -> None:
        while chunk := os.read(self._exit, _CHUNK):
            with self._changed:
                # Once lines are missing, those after them go out behind the note that says so.
                if self._left_out or self._size + len(chunk) > KEPT_BYTES:
                    self._left_out += max(1, chunk.count(b"\n"))
                else:
                    self._chunks.append(chunk)
                    self._size += len(chunk)
                self._changed.notify()
        os.close(self._exit)
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def _write(self) -> None:
        while (chunk := self._next()) is not None:
            _write_all(self._target, chunk)

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._chunks or self._left_out or self._is_over)
            if self._chunks:
                chunk = self._chunks.popleft()
                self._size -= len(chunk)
                return chunk
            if self._left_out:
                count, self._left_out = self._left_out, 0
                return f"\n[{count} lines are left out here: nobody has read them]\n".encode()
            return None


def _write_all(target: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(target, rest) :]
        except BlockingIOError:  # whoever shares it has made it so
            waiting = select.poll()
            waiting.register(target, select.POLLOUT)
            waiting.poll()
        except OSError:  # the reader is gone, or the disk full; later chunks may have more luck
            return


def fill_gaps() -> None:
    """Open what the process was started without: other files would get these numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(number, True)
    os.close(number)
    # Python has none where the number was free.
    sys.stdout = sys.stdout or _text(_STDOUT)
    sys.stderr = sys.stderr or _text(_STDERR)


def _text(number: int) -> io.TextIOWrapper:
    return open(number, "w", errors="backslashreplace", closefd=False)


@contextlib.contextmanager
def unblocked_output() -> Iterator[None]:
    """Let this process, and those that it starts, write without ever waiting for a reader."""
    are_one = os.path.sameopenfile(_STDOUT, _STDERR)  # then their lines keep their order
    targets = {number: os.dup(number) for number in (_STDOUT, _STDERR)}
    relays = [_Relay(target) for target in list(targets.values())[are_one:]]
    _redirect({_STDOUT: relays[0].entry, _STDERR: relays[-1].entry})
    try:
        yield
    finally:
        _redirect(targets)
        for relay in relays:
            relay.finish()


def _redirect(files: dict[int, int]) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    for number, file in files.items():
        os.dup2(file, number)
