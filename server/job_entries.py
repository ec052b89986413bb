"""Jobs in the form in which /queue and /history show them; stored JSON is passed on unparsed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Raw

from executor.jobs import FinishedJob, Job, JobState


class Queue(Protocol):
    """What /queue shows; `executor.store.Store` is one."""

    async def queue(self, owner: str | None = None) -> tuple[Sequence[Job], Sequence[Job]]:
        """The jobs that workers have, and the first page of those that wait, of one moment."""

    def queued_after(
        self, page: Sequence[Job], owner: str | None = None
    ) -> AsyncIterator[Sequence[Job]]:
        """The further pages."""


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


async def queue_pieces(store: Queue, owner: str | None = None) -> AsyncIterator[bytes]:
    """The JSON object of /queue, of one owner or of all, one piece a page of waiting jobs."""
    running, page = await store.queue(owner)
    opening = b'{"queue_running":' + msgspec.json.encode([queue_item(job) for job in running])
    yield opening + b',"queue_pending":' + _items(page)
    async for further in store.queued_after(page, owner):
        if further:
            yield b"," + _items(further)[1:]
    yield b"]}"


def _items(page: Sequence[Job]) -> bytes:
    """The list of the items, left open."""
    return msgspec.json.encode([queue_item(job) for job in page])[:-1]
