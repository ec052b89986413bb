"""Jobs in the form in which /queue and /history show them; stored JSON is passed on unparsed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from executor.jobs import FinishedJob, Job, JobState


class Queue(Protocol):
    """What /queue shows; `executor.store.Store` is one."""

    async def running(self) -> Sequence[Job]:
        """The jobs that workers have."""

    def queued(self) -> AsyncIterator[Sequence[Job]]:
        """The waiting jobs in their order, in pages."""


def queue_item(job: Job) -> list[Any]:
    """A job as /queue lists it."""
    return [
        job.number,
        job.prompt_id,
        Raw(job.prompt),
        Raw(job.extra_data),
        job.outputs_to_execute,
    ]


def history_entry(finished: FinishedJob) -> dict[str, Any]:
    """A finished job as /history shows it."""
    result = finished.result
    has_succeeded = result.state is JobState.SUCCEEDED
    return {
        "prompt": queue_item(finished.job),
        "outputs": Raw(result.outputs),
        "status": {
            "status_str": "success" if has_succeeded else "error",
            "completed": has_succeeded,
            "messages": Raw(result.messages),
        },
        "meta": Raw(result.meta),
    }


async def history_pieces(pages: AsyncIterator[Sequence[FinishedJob]]) -> AsyncIterator[bytes]:
    """The JSON object of prompt id -> entry, one piece a page."""
    opening = b"{"
    async for page in pages:
        entries = {finished.job.prompt_id: history_entry(finished) for finished in page}
        if entries:
            yield opening + msgspec.json.encode(entries)[1:-1]
            opening = b","
    yield b"}" if opening == b"," else b"{}"


async def queue_pieces(store: Queue) -> AsyncIterator[bytes]:
    """The JSON object of /queue, one piece a page of waiting jobs."""
    pages = store.queued()
    # Read before what runs: a job that starts in between is found twice, instead of nowhere.
    page = await anext(pages, None)
    running = await store.running()
    started = {job.sequence for job in running}
    opening = b'{"queue_running":' + msgspec.json.encode([queue_item(job) for job in running])
    opening += b',"queue_pending":['
    while page:
        waiting = [queue_item(job) for job in page if job.sequence not in started]
        if waiting:
            yield opening + msgspec.json.encode(waiting)[1:-1]
            opening = b","
        page = await anext(pages, None)
    yield b"]}" if opening == b"," else opening + b"]}"
