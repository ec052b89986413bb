"""The waiting jobs in the order in which they will run, as the dispatcher keeps them at hand."""

from __future__ import annotations

import heapq
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from executor.jobs import Job

MEMORY_BYTES: Final = 64 << 20  # of graphs kept at hand; the others are read when their turn comes


@dataclass(frozen=True, order=True, slots=True)
class Ticket:
    """A place in the queue: lowest number first, then by prompt id, then by arrival."""

    number: float
    prompt_id: str
    sequence: int


class PendingJobs:
    """Tickets in order, and the jobs of those that fit in memory. The store has them all."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._heap: list[Ticket] = []
        self._waiting: dict[int, Ticket] = {}  # by sequence; the heap may hold stale ones
        self._jobs: dict[int, Job] = {}
        self._memory_left = memory_bytes

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, ticket: Ticket, job: Job | None = None) -> None:
        """Add a job, with its content if that is at hand."""
        self._waiting[ticket.sequence] = ticket
        heapq.heappush(self._heap, ticket)
        if job is not None and _size(job) <= self._memory_left:
            self._memory_left -= _size(job)
            self._jobs[ticket.sequence] = job

    def pop(self) -> tuple[Ticket, Job | None] | None:
        """Take out the next one; None if nothing waits."""
        while self._heap:
            ticket = heapq.heappop(self._heap)
            if ticket.sequence in self._waiting:
                return ticket, self._forget(ticket.sequence)
        return None

    def remove(self, prompt_ids: Collection[str]) -> list[Ticket]:
        """Take out all jobs of these ids."""
        wanted = frozenset(prompt_ids)
        found = [ticket for ticket in self._waiting.values() if ticket.prompt_id in wanted]
        for ticket in found:
            self._forget(ticket.sequence)
        return found

    def clear(self) -> list[Ticket]:
        """Take out all jobs."""
        found = list(self._waiting.values())
        for ticket in found:
            self._forget(ticket.sequence)
        self._heap.clear()
        return found

    def _forget(self, sequence: int) -> Job | None:
        del self._waiting[sequence]
        job = self._jobs.pop(sequence, None)
        if job is not None:
            self._memory_left += _size(job)
        return job


def _size(job: Job) -> int:
    return len(job.prompt) + len(job.extra_data)
