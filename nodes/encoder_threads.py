"""Keeps encoders from taking the machine for themselves.

Where the system lets it, which is for root as in most containers, SVT-AV1 has its threads and the
one that opens it run in real time: before everything else on the machine, the server included.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

_TASKS: Final = Path("/proc/self/task")


def encode_frame(stream: Any, frame: Any) -> Any:
    """The packets that the encoder of a PyAV stream has after this frame, which may open it."""
    if stream.codec_context.is_open:
        return stream.encode(frame)
    with ordinary_scheduling():
        return stream.encode(frame)


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Give threads of this process back their share of time if they run in real time at the end."""
    before = real_time_threads()
    try:
        yield
    finally:
        for thread in real_time_threads() - before:
            with suppress(OSError):  # it has ended meanwhile
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def real_time_threads() -> set[int]:
    """The threads of this process that run in real time. Linux only; none elsewhere."""
    found = set()
    for task in _TASKS.iterdir() if _TASKS.is_dir() else ():
        with suppress(OSError):
            if os.sched_getscheduler(int(task.name)) in (os.SCHED_FIFO, os.SCHED_RR):
                found.add(int(task.name))
    return found
