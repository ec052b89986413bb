"""The durable record of one submission, and the states it passes through."""

from __future__ import annotations

import enum
import unicodedata
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeGuard

LONGEST_PROMPT_ID: Final = 256


def is_prompt_id(value: object) -> TypeGuard[str]:
    """Whether a job may have this id: 1 to 256 characters, none of them a control character."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= LONGEST_PROMPT_ID
        and not any(unicodedata.category(character) == "Cc" for character in value)
    )


class PromptIdTaken(Exception):
    """There is a job of that id."""

    def __init__(self, prompt_id: str) -> None:
        super().__init__(f"there is a job '{prompt_id}' already")
        self.prompt_id = prompt_id


class StoreUnavailable(Exception):
    """The job database cannot be read or written at the moment, for example as the disk is full."""


class JobState(enum.Enum):
    """Where a job stands. It moves queued -> running -> an end; a lost worker puts it back."""

    QUEUED = "queued"  # accepted and on disk, waits for a worker
    RUNNING = "running"  # handed to a worker
    SUCCEEDED = "succeeded"  # all outputs were made
    FAILED = "failed"  # a node raised, or its workers died
    INTERRUPTED = "interrupted"  # stopped by a client while it ran
    CANCELLED = "cancelled"  # taken out of the queue by a client before it ran

    @property
    def has_ended(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


# The states that clients find in the history.
HISTORY_STATES = (JobState.SUCCEEDED, JobState.FAILED, JobState.INTERRUPTED)


class Address(NamedTuple):
    """Whose sockets a message is for."""

    client_id: str | None  # None: those of all clients of the owner, for some messages
    owner: str | None = None  # clients are known by their ids among those of one owner only


@dataclass(frozen=True, kw_only=True)
class Job:
    """One submission. JSON is kept as the text that was accepted: key order and all."""

    prompt_id: str  # chosen by the client or random; no two jobs have the same
    number: int | float  # priority, lower runs first; int: from the counter, float: given
    prompt: bytes  # JSON object: node id -> node, literals converted
    extra_data: bytes  # JSON object, without secrets
    outputs_to_execute: tuple[str, ...]  # ids of the output nodes that passed validation
    created_at: int  # ms since 1970
    client_id: str | None = None  # who gets the WebSocket messages
    workflow_id: str | None = None  # of the workflow that a front end submitted
    owner: str | None = None  # name of the API key that submitted it; None: no keys were in use
    sequence: int = 0  # order of acceptance, unique; 0: not stored yet
    state: JobState = JobState.QUEUED  # see JobState
    attempts: int = 0  # how often it was handed to a worker
    started_at: int | None = None  # ms since 1970, of the last attempt
    ended_at: int | None = None  # ms since 1970
    worker: str | None = None  # name of the last worker that had it
    error: str | None = None  # why it failed, one line
    is_damaged: bool = False  # the database has lost some of this; what is lost is empty

    @property
    def address(self) -> Address:
        """Who is told of it."""
        return Address(self.client_id, self.owner)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a job that ran has left behind; JSON as text."""

    state: JobState  # one of HISTORY_STATES
    outputs: bytes = b"{}"  # JSON object: node id -> ui object
    meta: bytes = b"{}"  # JSON object: node id -> {"node_id", "display_node", ...}
    messages: bytes = b"[]"  # JSON list of [type, data], as in the history's `status.messages`
    error: str | None = None  # why it failed, one line


@dataclass(frozen=True, kw_only=True)
class FinishedJob:
    """A job of the history together with its result."""

    job: Job
    result: Result


@dataclass(frozen=True, kw_only=True)
class JobOverview:
    """A job as a list shows it: without its graph, with what it has left behind so far."""

    sequence: int  # order of acceptance, unique
    prompt_id: str
    number: int | float  # priority, lower runs first
    state: JobState
    created_at: int  # ms since 1970, as all times
    started_at: int | None
    ended_at: int | None
    workflow_id: str | None
    summary: str | None  # JSON, `executor.job_summary.JobSummary`; None without a result


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """All that is known of a job."""

    overview: JobOverview
    job: Job
    result: Result | None  # None while it waits or runs, and if it was cancelled before


@dataclass(frozen=True, kw_only=True)
class JobSelection:
    """Which jobs a list shows, and in which order."""

    states: frozenset[JobState]
    workflow_id: str | None = None  # only jobs of this workflow
    owner: str | None = None  # only jobs of this owner
    by_duration: bool = False  # order by the time they took; else by their creation
    descending: bool = True
    offset: int = 0
    limit: int | None = None  # None: all
