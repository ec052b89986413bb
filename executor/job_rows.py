"""Jobs and results as rows of the database, and back."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from executor import statements
from executor.jobs import FinishedJob, Job, JobOverview, JobRecord, JobState, Result


def job_rows(job: Job, sequence: int) -> list[tuple[sa.Insert, dict[str, Any]]]:
    """The rows that make a waiting job."""
    row = {
        "sequence": sequence,
        "prompt_id": job.prompt_id,
        "number": job.number,
        "number_is_automatic": isinstance(job.number, int),
        "client_id": job.client_id,
        "state": JobState.QUEUED.value,
        "attempts": 0,
        "created_at": job.created_at,
        "workflow_id": job.workflow_id,
        "owner": job.owner,
        "size": len(job.prompt) + len(job.extra_data),
    }
    request = {
        "sequence": sequence,
        "prompt": job.prompt.decode(),
        "extra_data": job.extra_data.decode(),
        "outputs_to_execute": msgspec.json.encode(job.outputs_to_execute).decode(),
    }
    return [(statements.insert_job, row), (statements.insert_request, request)]


def result_row(sequence: int, result: Result) -> dict[str, Any]:
    """The values of the row that a result makes beside its job."""
    return {
        "sequence": sequence,
        "outputs": result.outputs.decode(),
        "meta": result.meta.decode(),
        "messages": result.messages.decode(),
    }


def job_of(row: Any) -> Job:
    return Job(
        prompt_id=row.prompt_id,
        number=_number(row),
        prompt=row.prompt.encode(),
        extra_data=row.extra_data.encode(),
        outputs_to_execute=_node_ids(row.outputs_to_execute),
        created_at=row.created_at,
        client_id=row.client_id,
        workflow_id=row.workflow_id,
        owner=row.owner,
        sequence=row.sequence,
        state=JobState(row.state),
        attempts=row.attempts,
        started_at=row.started_at,
        ended_at=row.ended_at,
        worker=row.worker,
        error=row.error,
        is_damaged=hasattr(row, "damaged"),
    )


def _node_ids(text: str) -> tuple[str, ...]:
    try:
        return msgspec.json.decode(text, type=tuple[str, ...])
    except ValueError:  # damaged
        return ()


def _number(row: Any) -> int | float:
    number: float = row.number
    return int(number) if row.number_is_automatic else number


def overview_of(row: Any) -> JobOverview:
    return JobOverview(
        sequence=row.sequence,
        prompt_id=row.prompt_id,
        number=_number(row),
        state=JobState(row.state),
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        workflow_id=row.workflow_id,
        summary=row.summary,
    )


def entry_of(row: Any) -> FinishedJob:
    return FinishedJob(job=job_of(row), result=_result(row))


def record_of(row: Any) -> JobRecord:
    result = None if row.outputs is None else _result(row)
    return JobRecord(overview=overview_of(row), job=job_of(row), result=result)


def _result(row: Any) -> Result:
    return Result(
        state=JobState(row.state),
        outputs=row.outputs.encode(),
        meta=row.meta.encode(),
        messages=row.messages.encode(),
        error=row.error,
    )
