"""What a person at a terminal sees: coloured log lines and progress bars (rich)."""

from __future__ import annotations

import functools
import logging
from typing import TextIO

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from executor.messages import Progress as NodeProgress


@functools.cache
def _console(stream: TextIO) -> Console:
    """One console for log lines and bars: they must know of each other to share the screen."""
    # The stream was a terminal: by now a pipe may lead there (server.output).
    return Console(file=stream, highlight=False, force_terminal=True)


def rich_handler(stream: TextIO) -> logging.Handler:
    """A handler that writes coloured lines."""
    handler = RichHandler(
        console=_console(stream), show_path=False, log_time_format="%H:%M:%S", markup=False
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


class ProgressBars:
    """A bar for each node that is working."""

    def __init__(self, stream: TextIO) -> None:
        self._bars = Progress(
            TextColumn("         {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=_console(stream),
            transient=True,
        )
        self._tasks = dict[tuple[str, str], int]()

    def show(self, progress: NodeProgress) -> None:
        """Draw or move the bar of a node; a finished one goes away."""
        key = (progress.prompt_id, progress.node_id)
        if key not in self._tasks:
            description = f"{progress.class_type} (node {progress.node_id})"
            self._tasks[key] = self._bars.add_task(description, total=progress.maximum)
            self._bars.start()
        task = self._tasks[key]  # rich.progress.TaskID is an int
        self._bars.update(task, completed=progress.value, total=progress.maximum)  # type: ignore[arg-type]
        if progress.value >= progress.maximum:
            self._remove(key)

    def forget(self, prompt_id: str) -> None:
        """Remove what a prompt that ended early has left."""
        for key in [key for key in self._tasks if key[0] == prompt_id]:
            self._remove(key)

    def _remove(self, key: tuple[str, str]) -> None:
        self._bars.remove_task(self._tasks.pop(key))  # type: ignore[arg-type]
        if not self._tasks:
            self._bars.stop()
