"""Hands queued jobs to idle workers and carries what they report to the store and to clients."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from executor.jobs import Job
from executor.listener import Listener
from executor.pool import Pool
from executor.store import Store


class Dispatcher:
    """The queue in motion. All methods are called on the event loop."""

    def __init__(
        self, store: Store, pool: Pool, listener: Listener, *, max_attempts: int = 2
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Take up what the database has queued, then start the workers."""
        raise NotImplementedError

    async def stop(self, wait_s: float) -> None:
        """End the workers; jobs that were running are queued again for the next start."""
        raise NotImplementedError

    def next_number(self) -> int:
        """The automatic priority of a request without `number` (use minus it for `front`)."""
        raise NotImplementedError

    @property
    def queue_remaining(self) -> int:
        """Waiting and running jobs."""
        raise NotImplementedError

    async def submit(self, job: Job, secrets: Mapping[str, str] | None = None) -> Job:
        """Queue a validated job; returns once it is on disk. Secrets stay in memory."""
        raise NotImplementedError

    async def cancel(self, prompt_ids: Collection[str]) -> int:
        """Take waiting jobs out of the queue; how many there were. Unknown ids are ignored."""
        raise NotImplementedError

    async def cancel_all(self) -> int:
        """Take all waiting jobs out of the queue; how many there were."""
        raise NotImplementedError

    async def interrupt(self, prompt_id: str | None = None) -> bool:
        """Stop the running job of that id, or whatever runs; whether anything was running."""
        raise NotImplementedError

    async def free(self, *, unload_models: bool, free_memory: bool) -> None:
        """Have every worker give memory back after its running job."""
        raise NotImplementedError

    def running_node(self, client_id: str) -> str | None:
        """The display id of the node that runs for this client, for a socket that reconnects."""
        raise NotImplementedError
