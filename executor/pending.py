"""The waiting jobs in the order in which they will run, as the dispatcher keeps them at hand."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from executor.jobs import Job

MEMORY_BYTES: Final = 64 << 20  # of graphs kept at hand; the others are read when their turn comes


@dataclass(frozen=True, order=True, slots=True)
class Ticket:
    """A place in the queue: lowest number first, then by prompt id, then by arrival."""

    number: float
    prompt_id: str
    sequence: int
    owner: str | None = field(default=None, compare=False)

    @classmethod
    def of(cls, job: Job) -> Ticket:
        """The place of a job."""
        return cls(job.number, job.prompt_id, job.sequence, job.owner)


class PendingJobs:
    """Tickets in order, and the jobs of those that fit in memory. The store has them all."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES) -> None:
        self._heap: list[Ticket] = []
        self._waiting: dict[int, Ticket] = {}  # by sequence; the heap may hold stale ones
        self._of_owners: Counter[str | None] = Counter()
        self._jobs: dict[int, Job] = {}
        self._memory_left = memory_bytes

    def __len__(self) -> int:
        return len(self._waiting)

    def count_of(self, owner: str | None) -> int:
        """How many jobs of this owner wait."""
        return self._of_owners[owner]

    def push(self, ticket: Ticket, job: Job | None = None) -> None:
        """Add a job, with its content if that is at hand."""
        self._waiting[ticket.sequence] = ticket
        self._of_owners[ticket.owner] += 1
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

    def remove(self, prompt_ids: Collection[str], owner: str | None = None) -> list[Ticket]:
        """Take out all jobs of these ids, of one owner or of any."""
        wanted = frozenset(prompt_ids)
        return self._take_out(lambda ticket: ticket.prompt_id in wanted, owner)

    def clear(self, owner: str | None = None) -> list[Ticket]:
        """Take out all jobs, of one owner or of any."""
        found = self._take_out(lambda ticket: True, owner)
        if not self._waiting:
            self._heap.clear()
        return found

    def _take_out(self, is_wanted: Callable[[Ticket], bool], owner: str | None) -> list[Ticket]:
        found = [
            ticket
            for ticket in self._waiting.values()
            if owner in (None, ticket.owner) and is_wanted(ticket)
        ]
        for ticket in found:
            self._forget(ticket.sequence)
        return found

    def _forget(self, sequence: int) -> Job | None:
        self._of_owners[self._waiting.pop(sequence).owner] -= 1
        job = self._jobs.pop(sequence, None)
        if job is not None:
            self._memory_left += _size(job)
        return job


def _size(job: Job) -> int:
    return len(job.prompt) + len(job.extra_data)
