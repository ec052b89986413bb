"""Jobs in the form in which /queue and /history show them; stored JSON is passed on unparsed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from executor.jobs import FinishedJob, Job, JobState


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


async def queue_pieces(
    running: Sequence[Job], pages: AsyncIterator[Sequence[Job]]
) -> AsyncIterator[bytes]:
    """The JSON object of /queue, one piece a page of waiting jobs."""
    opening = b'{"queue_running":' + msgspec.json.encode([queue_item(job) for job in running])
    opening += b',"queue_pending":['
    async for page in pages:
        if page:
            yield opening + msgspec.json.encode([queue_item(job) for job in page])[1:-1]
            opening = b","
    yield b"]}" if opening == b"," else opening + b"]}"
