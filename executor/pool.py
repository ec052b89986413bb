"""Keeps workers running: starts them, restarts lost ones, answers questions through any of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from executor.worker_interface import Worker


class Pool:
    """A fixed number of workers. `make_worker` gets the worker's name."""

    def __init__(
        self, make_worker: Callable[[str], Worker], size: int = 1, *, backoff_s: float = 0.5
    ) -> None:
        raise NotImplementedError

    @property
    def devices(self) -> list[dict[str, Any]]:
        """Device entries of all workers that were ready once, for /system_stats."""
        raise NotImplementedError

    @property
    def versions(self) -> dict[str, str]:
        """Package versions as the workers told them; empty before the first was ready."""
        raise NotImplementedError

    async def wait_ready(self, wait_s: float) -> None:
        """Wait until a worker takes prompts; raises TimeoutError."""
        raise NotImplementedError

    async def call(self, method: str, arguments: dict[str, Any], wait_s: float) -> Any:
        """Ask a ready worker, waiting for one first; an idle one is preferred.

        Raises CallFailed, WorkerLost or TimeoutError.
        """
        raise NotImplementedError
