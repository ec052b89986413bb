"""The durable queue and history: every statement that Darkroom sends to its database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence

from executor.jobs import FinishedJob, Job, Result


class Store:
    """Jobs in a database. One thread writes and commits in groups, one reads; none blocks the loop.

    A read sees every change that was asked for before it.
    """

    @classmethod
    async def open(cls, url: str, *, history_limit: int = 10_000) -> Store:
        """Open or make the database and bring its schema up to date; raises StoreError.

        Jobs found running (the last server died) are queued again.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Commit what is pending and let go of the database. Idempotent."""
        raise NotImplementedError

    async def add(self, job: Job) -> Job:
        """Queue a job; returns it with its sequence once it is on disk."""
        raise NotImplementedError

    async def start(self, sequence: int, worker: str) -> bool:
        """queued -> running; whether this call made the change."""
        raise NotImplementedError

    async def put_back(self, sequence: int, *, count_attempt: bool) -> bool:
        """running -> queued; whether this call made the change."""
        raise NotImplementedError

    async def finish(self, sequence: int, result: Result) -> bool:
        """running -> the result's state; whether this call made the change.

        An older history entry of the same prompt id is replaced in its place.
        """
        raise NotImplementedError

    async def cancel(self, sequences: Collection[int]) -> int:
        """queued -> cancelled; how many this call changed."""
        raise NotImplementedError

    async def delete_history(self, prompt_ids: Collection[str]) -> int:
        """Forget ended jobs; how many there were. Unknown ids are ignored."""
        raise NotImplementedError

    async def clear_history(self) -> int:
        """Forget all ended jobs; how many there were."""
        raise NotImplementedError

    async def running(self) -> Sequence[Job]:
        raise NotImplementedError

    def queued(self) -> AsyncIterator[Sequence[Job]]:
        """The waiting jobs in the order in which they will run, in pages."""
        raise NotImplementedError

    def history(
        self, *, max_items: int | None = None, offset: int = -1
    ) -> AsyncIterator[Sequence[FinishedJob]]:
        """Finished jobs, oldest first, in pages.

        `offset` >= 0 skips that many of the oldest, `max_items` limits; without an offset (or
        with a negative one) the newest `max_items` come.
        """
        raise NotImplementedError

    async def finished_job(self, prompt_id: str) -> FinishedJob | None:
        """The history entry of a prompt id; None while it waits or runs."""
        raise NotImplementedError
