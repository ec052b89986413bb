"""Calls that go on beside the run: one thread that writes files while the next nodes compute."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

_POLL_S = 0.1  # how often a run that waits looks whether it was interrupted


class Background:
    """The calls of one run, one after another in the order in which they came.

    The order keeps the numbers of files as they would be without it.
    """

    def __init__(self, most: int) -> None:
        """`most` calls may be unfinished; 0: none is made beside the run."""
        self.most = most
        self._thread: ThreadPoolExecutor | None = None
        self._unfinished: set[Future[Any]] = set()

    def wait_for_room(self, check_interrupted: Callable[[], None]) -> None:
        """Wait until another call may be added."""
        while len(self._running()) >= self.most:
            check_interrupted()
            wait(self._unfinished, timeout=_POLL_S, return_when=FIRST_COMPLETED)

    def _running(self) -> set[Future[Any]]:
        self._unfinished = {call for call in self._unfinished if not call.done()}
        return self._unfinished

    def add(self, call: Callable[[], Any]) -> Future[Any]:
        """Make a call when those before it are over."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="saving")
        future = self._thread.submit(call)
        self._unfinished.add(future)
        return future

    def close(self) -> None:
        """Give up what has not begun, and wait for what has."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = None
