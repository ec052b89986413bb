"""Answers calls on a thread of its own, and on another one when that hangs in a pack's code."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Final

from executor.messages import Call

SLOW_S: Final = 0.5  # after which a call does not keep the others waiting
MOST_THREADS: Final = 16  # that may hang; the server replaces a worker in which one does


class Answering:
    """Calls wait in a queue for the one thread that serves it."""

    def __init__(self, answer: Callable[[Call], None]) -> None:
        self._answer = answer
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._lock = threading.Lock()  # around the rest: the threads and `tick` share it
        self._serving: threading.Thread | None = None
        self._since: float | None = None  # when the call began that the serving thread is at
        self._hanging = 0

    def put(self, call: Call) -> None:
        """Have it answered; may be called before `start`."""
        self._calls.put(call)

    def start(self) -> None:
        """Begin to answer."""
        with self._lock:
            self._start_thread()

    def tick(self) -> None:
        """Called again and again: puts another thread in the place of one that hangs."""
        with self._lock:
            is_slow = self._since is not None and time.monotonic() - self._since > SLOW_S
            if is_slow and not self._calls.empty() and self._hanging < MOST_THREADS:
                self._hanging += 1
                self._start_thread()

    def _start_thread(self) -> None:
        self._since = None
        self._serving = threading.Thread(target=self._serve, name="calls", daemon=True)
        self._serving.start()

    def _serve(self) -> None:
        this = threading.current_thread()
        while True:
            call = self._calls.get()
            with self._lock:
                self._since = time.monotonic()
            self._answer(call)
            with self._lock:
                if self._serving is not this:
                    self._hanging -= 1
                    return
                self._since = None
