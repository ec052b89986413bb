"""Jobs in the form in which /api/jobs shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from executor.jobs import Job, JobOverview, JobSelection, JobState
from server.job_outputs import normalise, summarise

# The words for states on the wire.
STATES: Final[Mapping[str, frozenset[JobState]]] = {
    "pending": frozenset({JobState.QUEUED}),
    "in_progress": frozenset({JobState.RUNNING}),
    "completed": frozenset({JobState.SUCCEEDED}),
    "failed": frozenset({JobState.FAILED}),
    "cancelled": frozenset({JobState.INTERRUPTED, JobState.CANCELLED}),
}
_WORDS: Final = {state: word for word, states in STATES.items() for state in states}


def overview(job: JobOverview) -> dict[str, Any]:
    """A job as lists show it; what has no value is left out."""
    summary = summarise(msgspec.json.decode(job.outputs or b"{}"))
    fields = {
        "id": job.prompt_id,
        "status": _WORDS[job.state],
        "priority": job.number,
        "create_time": job.created_at,
        "execution_start_time": job.started_at if job.state.has_ended else None,
        "execution_end_time": job.ended_at,
        "execution_error": _error(job),
        "outputs_count": summary.count,
        "previewable_outputs_count": summary.previewable_count,
        "preview_output": summary.preview,
        "workflow_id": job.workflow_id,
    }
    return {name: value for name, value in fields.items() if value is not None}


def detail(shown: JobOverview, job: Job) -> dict[str, Any]:
    """A single job: with its graph, and with its outputs if it has run."""
    workflow = {"prompt": Raw(job.prompt), "extra_data": Raw(job.extra_data)}
    fields = overview(shown)
    if shown.outputs is not None and shown.messages is not None:
        has_succeeded = shown.state is JobState.SUCCEEDED
        fields["outputs"] = normalise(msgspec.json.decode(shown.outputs))
        fields["execution_status"] = {
            "status_str": "success" if has_succeeded else "error",
            "completed": has_succeeded,
            "messages": Raw(shown.messages),
        }
    return fields | {"workflow": workflow}


async def listing_pieces(
    pages: AsyncIterator[Sequence[JobOverview]], selection: JobSelection, total: int, count: int
) -> AsyncIterator[bytes]:
    """The JSON object of a list, one piece a page; `count` jobs of `total` are listed."""
    opening = b'{"jobs":['
    async for page in pages:
        if page:
            yield opening + msgspec.json.encode([overview(job) for job in page])[1:-1]
            opening = b","
    pagination = {
        "offset": selection.offset,
        "limit": selection.limit,
        "total": total,
        "has_more": selection.offset + count < total,
    }
    closing = b"]," if opening == b"," else b'{"jobs":[],'
    yield closing + b'"pagination":' + msgspec.json.encode(pagination) + b"}"


def _error(job: JobOverview) -> Any:
    """The data of the message that says why the job failed."""
    if job.state is not JobState.FAILED or job.messages is None:
        return None
    messages = msgspec.json.decode(job.messages)
    return next((data for kind, data in reversed(messages) if kind == "execution_error"), None)
