"""How much is taken in: prompts that wait, nodes of a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from server.errors import PromptRejected, QueueFull


class Admission:
    """Lets prompts in while the queue has room, also for those that are still being checked."""

    def __init__(self, queue_limit: int) -> None:
        self._limit = queue_limit
        self._entering = 0

    @contextmanager
    def entry(self, queued: Callable[[], int]) -> Iterator[None]:
        """Hold a place in the queue while a prompt is read and checked; raises QueueFull."""
        if queued() + self._entering >= self._limit:
            raise QueueFull(limit=self._limit)
        self._entering += 1
        try:
            yield
        finally:
            self._entering -= 1


def check_size(prompt: Any, max_nodes: int) -> None:
    """Raises PromptRejected for a graph of too many nodes."""
    if not isinstance(prompt, dict) or len(prompt) <= max_nodes:
        return
    error = {
        "type": "graph_too_large",
        "message": f"The graph has {len(prompt)} nodes, more than the {max_nodes} that may run",
        "details": "the setting 'max_graph_nodes' says how many",
        "extra_info": {"limit": max_nodes},
    }
    raise PromptRejected(error, {})
