"""The lists of jobs, read while the queue moves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

from executor.jobs import Job
from server.job_entries import queue_pieces


def job(sequence: int) -> Job:
    return Job(
        prompt_id=f"p{sequence}",
        number=sequence,
        prompt=b"{}",
        extra_data=b"{}",
        outputs_to_execute=("1",),
        created_at=0,
        sequence=sequence,
    )


class MovingQueue:
    """One job runs; after each look at the queue the next one starts."""

    def __init__(self, count: int, page: int) -> None:
        self._jobs = [job(sequence) for sequence in range(1, count + 1)]
        self._page = page
        self._started = 1

    async def running(self) -> Sequence[Job]:
        self._started += 1
        return [self._jobs[self._started - 2]]

    async def queued(self) -> AsyncIterator[Sequence[Job]]:
        waiting = self._jobs[self._started :]
        self._started += 1
        for start in range(0, len(waiting), self._page):
            yield waiting[start : start + self._page]


async def shown(queue: MovingQueue) -> list[list[str]]:
    text = b"".join([piece async for piece in queue_pieces(queue)])
    lists = json.loads(text)
    return [[item[1] for item in lists[f"queue_{kind}"]] for kind in ("running", "pending")]


async def test_a_job_that_starts_between_two_looks_is_shown_once() -> None:
    assert await shown(MovingQueue(6, 2)) == [["p2"], ["p3", "p4", "p5", "p6"]]


async def test_a_queue_whose_last_job_starts_is_not_left_open() -> None:
    assert await shown(MovingQueue(2, 5)) == [["p2"], []]
