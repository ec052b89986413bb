"""How a job ends: from what its worker reports, or made up where no worker is left to report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from executor import json_text
from executor.jobs import Job, JobState, Result
from executor.messages import Emit, Finished, JsonObject
from executor.store import now_ms

_INTERRUPTED: Final = "execution_interrupted"
_LOST: Final = "executor.worker_interface.WorkerLost"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What the store keeps, and what clients must still be told beside it."""

    result: Result
    announcement: Emit | None = None


def ending_of(event: Finished) -> Ending:
    """The end that a worker reports; it has told clients itself."""
    if event.interrupted:
        state = JobState.INTERRUPTED
    else:
        state = JobState.SUCCEEDED if event.succeeded else JobState.FAILED
    error = None
    if state is JobState.FAILED and event.messages:
        error = str(event.messages[-1][1].get("exception_message", "")).strip() or None
    result = Result(
        state=state,
        outputs=json_text.encode(event.outputs),
        meta=json_text.encode(event.meta),
        messages=json_text.encode(event.messages),
        error=error,
    )
    return Ending(result=result)


def overtaken_ending(job: Job, event: Finished, executing: Emit | None) -> Ending:
    """The end of an interrupted job whose worker was done before it heard of the interrupt."""
    run = ending_of(event).result
    last = _about_node(job, _node_of(executing))
    messages = [*event.messages[:-1], (_INTERRUPTED, last)]
    result = dataclasses.replace(
        run, state=JobState.INTERRUPTED, messages=json_text.encode(messages), error=None
    )
    return Ending(result=result, announcement=_announcement(job, _INTERRUPTED, last))


def lost_ending(
    job: Job,
    reason: str,
    kept: Sequence[Emit],
    executing: Emit | None,
    is_interrupted: bool,
) -> Ending:
    """The end of a job whose last worker died.

    `kept` are the messages of the run that the history shows, `executing` the last node that was
    announced. An interrupted job counts as interrupted: dying was quicker than stopping.
    """
    node_id = _node_of(executing)
    body = _about_node(job, node_id)
    if is_interrupted:
        return _ending(job, JobState.INTERRUPTED, _INTERRUPTED, body, kept, reason)
    text = f"{reason}. The job was tried {_times(job.attempts)} and is given up."
    return _ending(
        job, JobState.FAILED, "execution_error", body | _exception(_LOST, text), kept, text
    )


def failed_ending(job: Job, reason: str) -> Ending:
    """The end of a job that could not be given to a worker."""
    body = _about_node(job, None) | _exception("ValueError", reason)
    return _ending(job, JobState.FAILED, "execution_error", body, (), reason)


def cancelled_message(prompt_id: str) -> Emit:
    """What the client of a job is told that was taken out of the queue."""
    kind, body = "execution_cancelled", {"prompt_id": prompt_id, "timestamp": now_ms()}
    text = json_text.encode({"type": kind, "data": body})
    return Emit(prompt_id=prompt_id, type=kind, text=text)


def message_data(event: Emit) -> JsonObject:
    """The `data` of a client message."""
    data = msgspec.json.decode(event.text).get("data")
    return data if isinstance(data, dict) else {}


def _ending(
    job: Job, state: JobState, kind: str, body: JsonObject, kept: Sequence[Emit], error: str
) -> Ending:
    messages = [[event.type, message_data(event)] for event in kept] + [[kind, body]]
    announcement = _announcement(job, kind, body)
    result = Result(state=state, messages=json_text.encode(messages), error=error)
    return Ending(result=result, announcement=announcement)


def _announcement(job: Job, kind: str, body: JsonObject) -> Emit:
    return Emit(
        prompt_id=job.prompt_id,
        type=kind,
        text=json_text.encode({"type": kind, "data": body}),
        to_all_if_no_client=kind == _INTERRUPTED,
    )


def _about_node(job: Job, node_id: str | None) -> JsonObject:
    node: Any = json_text.decode(job.prompt).get(node_id) if node_id is not None else None
    return {
        "prompt_id": job.prompt_id,
        "node_id": node_id,
        "node_type": node["class_type"] if node is not None else None,
        "executed": [],
        "timestamp": now_ms(),
    }


def _exception(kind: str, text: str) -> JsonObject:
    return {
        "exception_message": f"{text}\n",
        "exception_type": kind,
        "traceback": [],
        "current_inputs": {},
        "current_outputs": [],
    }


def _node_of(executing: Emit | None) -> str | None:
    """The submitted node behind the last `executing` message."""
    if executing is None:
        return None
    data = message_data(executing)
    return data.get("display_node") or data.get("node")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
