"""Jobs in the form in which /api/jobs shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw

from executor.job_summary import JobSummary
from executor.jobs import JobOverview, JobRecord, JobSelection, JobState
from server.job_outputs import normalise

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
    summary = JobSummary.read(job.summary)
    fields = {
        "id": job.prompt_id,
        "status": _WORDS[job.state],
        "priority": job.number,
        "create_time": job.created_at,
        "execution_start_time": job.started_at if job.state.has_ended else None,
        "execution_end_time": job.ended_at,
        "execution_error": summary.shown_error,
        "outputs_count": summary.count,
        "previewable_outputs_count": summary.previewable_count,
        "preview_output": summary.shown_preview,
        "workflow_id": job.workflow_id,
    }
    return {name: value for name, value in fields.items() if value is not None}


def detail(record: JobRecord) -> dict[str, Any]:
    """A single job: with its graph, and with its outputs if it has run."""
    job, result = record.job, record.result
    workflow = {"prompt": Raw(job.prompt), "extra_data": Raw(job.extra_data)}
    fields = overview(record.overview)
    if result is not None:
        has_succeeded = result.state is JobState.SUCCEEDED
        fields["outputs"] = normalise(msgspec.json.decode(result.outputs))
        fields["execution_status"] = {
            "status_str": "success" if has_succeeded else "error",
            "completed": has_succeeded,
            "messages": Raw(result.messages),
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
