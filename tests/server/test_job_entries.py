"""The lists of jobs, joined from pages."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import pytest

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


class PagedQueue:
    """One job runs; the others wait, in pages."""

    def __init__(self, count: int, page: int) -> None:
        self._jobs = [job(sequence) for sequence in range(1, count + 1)]
        self._page = page

    async def queue(self, owner: str | None = None) -> tuple[Sequence[Job], Sequence[Job]]:
        return self._jobs[:1], self._jobs[1 : 1 + self._page]

    async def queued_after(
        self, page: Sequence[Job], owner: str | None = None
    ) -> AsyncIterator[Sequence[Job]]:
        for start in range(1 + self._page, len(self._jobs) + 1, self._page):
            yield self._jobs[start : start + self._page]  # the last may be empty, as the store's


@pytest.mark.parametrize("count", range(8))
async def test_the_lists_are_whole_whatever_the_pages(count: int) -> None:
    text = b"".join([piece async for piece in queue_pieces(PagedQueue(count, 2))])

    lists = json.loads(text)

    shown = [[item[1] for item in lists[f"queue_{kind}"]] for kind in ("running", "pending")]
    ids = [f"p{number}" for number in range(1, count + 1)]
    assert shown == [ids[:1], ids[1:]]
