"""Every statement that the store sends to its database, with a name and what it is for."""

from __future__ import annotations

import functools
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from executor.jobs import HISTORY_STATES, JobState
from executor.schema import file_owners, jobs, requests, results

_QUEUED: Final = JobState.QUEUED.value
_RUNNING: Final = JobState.RUNNING.value
# Hidden from SQLite's planner, which would sort all jobs of a state to find one page of them; the
# indexes of places, creation and duration have the state and lead to the page.
_HIDDEN_STATE: Final = sa.func.coalesce(jobs.c.state, "")
_IN_HISTORY: Final = _HIDDEN_STATE.in_([state.value for state in HISTORY_STATES])
_JOB_COLUMNS: Final = (
    jobs.c.sequence,
    jobs.c.prompt_id,
    jobs.c.number,
    jobs.c.number_is_automatic,
    jobs.c.client_id,
    jobs.c.state,
    jobs.c.attempts,
    jobs.c.created_at,
    jobs.c.started_at,
    jobs.c.ended_at,
    jobs.c.worker,
    jobs.c.error,
    jobs.c.workflow_id,
    jobs.c.owner,
    requests.c.prompt,
    requests.c.extra_data,
    requests.c.outputs_to_execute,
)
_whole_job = sa.select(*_JOB_COLUMNS).join_from(jobs, requests)
_history_entry = (
    sa.select(*_JOB_COLUMNS, results.c.outputs, results.c.meta, results.c.messages, jobs.c.place)
    .join_from(jobs, requests)
    .join(results, results.c.sequence == jobs.c.sequence)
    .where(_IN_HISTORY)
)

# The first free sequence and place.
counters = sa.select(
    sa.func.coalesce(sa.func.max(jobs.c.sequence), 0) + 1,
    sa.func.coalesce(sa.func.max(jobs.c.place), 0) + 1,
)

# How many jobs have ended, and how many bytes they are.
total_of_ended = sa.select(
    sa.func.count(), sa.cast(sa.func.coalesce(sa.func.sum(jobs.c.size), 0), sa.BigInteger)
).where(jobs.c.place.is_not(None))

size_of_jobs = sa.select(
    sa.cast(sa.func.coalesce(sa.func.sum(jobs.c.size), 0), sa.BigInteger)
).where(jobs.c.sequence.in_(sa.bindparam("of_sequences", expanding=True)))

# The sizes of the oldest ended jobs, oldest first, and their sum.
oldest_sizes = (
    sa.select(jobs.c.size)
    .where(jobs.c.place.is_not(None))
    .order_by(jobs.c.place)
    .limit(sa.bindparam("how_many"))
)
_oldest = oldest_sizes.subquery()
size_of_oldest = sa.select(sa.cast(sa.func.coalesce(sa.func.sum(_oldest.c.size), 0), sa.BigInteger))

# The largest automatic number among jobs that still wait; the counter goes on after it.
largest_waiting_number = sa.select(sa.func.max(sa.func.abs(jobs.c.number))).where(
    jobs.c.state == _QUEUED, jobs.c.number_is_automatic
)

# Two rows make a job.
insert_job = sa.insert(jobs)
insert_request = sa.insert(requests)
insert_result = sa.insert(results)

# At the opening: what the last server left running waits again.
requeue_running = sa.update(jobs).where(jobs.c.state == _RUNNING).values(state=_QUEUED, worker=None)

# queued -> running
start_job = (
    sa.update(jobs)
    .where(jobs.c.sequence == sa.bindparam("of_sequence"), jobs.c.state == _QUEUED)
    .values(
        state=_RUNNING,
        attempts=jobs.c.attempts + 1,
        worker=sa.bindparam("by_worker"),
        started_at=sa.bindparam("at"),
    )
)

# running -> queued
put_back_job = (
    sa.update(jobs)
    .where(jobs.c.sequence == sa.bindparam("of_sequence"), jobs.c.state == _RUNNING)
    .values(state=_QUEUED, attempts=jobs.c.attempts - sa.bindparam("fewer_attempts"), worker=None)
)

_DURATION: Final = sa.func.coalesce(sa.bindparam("at", type_=sa.BigInteger) - jobs.c.started_at, 0)

# running -> an end
finish_job = (
    sa.update(jobs)
    .where(jobs.c.sequence == sa.bindparam("of_sequence"), jobs.c.state == _RUNNING)
    .values(
        state=sa.bindparam("to_state"),
        ended_at=sa.bindparam("at"),
        error=sa.bindparam("why"),
        place=sa.bindparam("at_place"),
        duration=_DURATION,
        size=jobs.c.size + sa.bindparam("more_bytes"),
        summary=sa.bindparam("in_short"),
    )
)

# queued -> cancelled
cancel_job = (
    sa.update(jobs)
    .where(jobs.c.sequence == sa.bindparam("of_sequence"), jobs.c.state == _QUEUED)
    .values(
        state=JobState.CANCELLED.value,
        ended_at=sa.bindparam("at"),
        place=sa.bindparam("at_place"),
        duration=_DURATION,
    )
)

# Whom to tell of a job.
address_of_job = sa.select(jobs.c.prompt_id, jobs.c.client_id, jobs.c.owner).where(
    jobs.c.sequence == sa.bindparam("of_sequence")
)

# The job of a prompt id, if it has ended.
delete_ended = sa.delete(jobs).where(
    jobs.c.prompt_id == sa.bindparam("of_prompt"), jobs.c.place.is_not(None)
)

delete_all_ended = sa.delete(jobs).where(jobs.c.place.is_not(None))

# The oldest ended jobs, when there are more than are kept.
delete_oldest_ended = sa.delete(jobs).where(
    jobs.c.sequence.in_(
        sa.select(jobs.c.sequence)
        .where(jobs.c.place.is_not(None))
        .order_by(jobs.c.place)
        .limit(sa.bindparam("how_many"))
    )
)

# Jobs that ended before a time.
delete_ended_before = sa.delete(jobs).where(
    jobs.c.place.is_not(None), jobs.c.ended_at < sa.bindparam("before")
)

# What the dispatcher needs to order the waiting jobs.
waiting_keys = (
    sa.select(jobs.c.number, jobs.c.prompt_id, jobs.c.sequence, jobs.c.owner)
    .where(jobs.c.state == _QUEUED)
    .order_by(jobs.c.number, jobs.c.prompt_id, jobs.c.sequence)
)

job_by_sequence = _whole_job.where(jobs.c.sequence == sa.bindparam("of_sequence"))

running_jobs = _whole_job.where(jobs.c.state == _RUNNING).order_by(jobs.c.started_at)

# Waiting jobs in the order in which they will run: the first ones, then those after a given one.
first_queued = (
    _whole_job.where(jobs.c.state == _QUEUED)
    .order_by(jobs.c.number, jobs.c.prompt_id, jobs.c.sequence)
    .limit(sa.bindparam("how_many"))
)
next_queued = first_queued.where(
    sa.tuple_(jobs.c.number, jobs.c.prompt_id, jobs.c.sequence)
    > sa.tuple_(
        sa.bindparam("after_number", type_=sa.Double),
        sa.bindparam("after_prompt", type_=sa.Text),
        sa.bindparam("after_sequence", type_=sa.BigInteger),
    )
)

# The place of a history entry, by how many are older or newer.
_place = (
    sa.select(jobs.c.place)
    .where(jobs.c.place.is_not(None), _IN_HISTORY)
    .limit(1)
    .offset(sa.bindparam("skip"))
)
place_from_oldest = _place.order_by(jobs.c.place)
place_from_newest = _place.order_by(jobs.c.place.desc())

# History entries after a place, oldest first.
next_history = (
    _history_entry.where(jobs.c.place > sa.bindparam("after_place"))
    .order_by(jobs.c.place)
    .limit(sa.bindparam("how_many"))
)

history_of_prompt = _history_entry.where(jobs.c.prompt_id == sa.bindparam("of_prompt"))

# Lists of jobs, which show neither graphs nor outputs: those may be large.
_OVERVIEW_COLUMNS: Final = (
    jobs.c.sequence,
    jobs.c.prompt_id,
    jobs.c.number,
    jobs.c.number_is_automatic,
    jobs.c.state,
    jobs.c.created_at,
    jobs.c.started_at,
    jobs.c.ended_at,
    jobs.c.workflow_id,
    jobs.c.summary,
)

overviews: Final[sa.Select[Any]] = sa.select(*_OVERVIEW_COLUMNS).where(
    jobs.c.sequence.in_(sa.bindparam("of_sequences", expanding=True))
)

# A job with all that it has left behind so far.
record_of_prompt: Final[sa.Select[Any]] = (
    sa.select(
        *_JOB_COLUMNS,
        jobs.c.summary,
        results.c.outputs,
        results.c.meta,
        results.c.messages,
    )
    .join_from(jobs, requests)
    .join(results, results.c.sequence == jobs.c.sequence, isouter=True)
    .where(jobs.c.prompt_id == sa.bindparam("of_prompt"))
)


# Whose files are.
_IS_FILE: Final = sa.and_(
    file_owners.c.folder == sa.bindparam("in_folder"),
    file_owners.c.name == sa.bindparam("of_name"),
)
file_owner = sa.select(file_owners.c.owner, file_owners.c.modified).where(_IS_FILE)
insert_file = sa.insert(file_owners)
forget_file = sa.delete(file_owners).where(_IS_FILE)
forget_temp = sa.delete(file_owners).where(
    sa.or_(file_owners.c.folder == "temp", file_owners.c.folder.like("temp/%"))
)
files_of_owner = sa.select(file_owners.c.name, file_owners.c.modified).where(
    file_owners.c.folder == sa.bindparam("in_folder"),
    file_owners.c.owner == sa.bindparam("of_owner"),
)
inputs_of_others = sa.select(
    file_owners.c.folder, file_owners.c.name, file_owners.c.modified
).where(
    file_owners.c.owner != sa.bindparam("of_owner"),
    sa.or_(file_owners.c.folder == "input", file_owners.c.folder.like("input/%")),
)

Limited = TypeVar("Limited", sa.Select[Any], sa.Delete)


@functools.lru_cache(maxsize=64)
def owned(statement: Limited) -> Limited:
    """The same for jobs of the owner `of_owner` only."""
    return statement.where(jobs.c.owner == sa.bindparam("of_owner"))


@functools.lru_cache(maxsize=256)
def selected_count(states: frozenset[JobState], *, of_workflow: bool) -> sa.Select[Any]:
    """How many jobs there are in these states, of the workflow `of_workflow_id` or of any."""
    state = _HIDDEN_STATE if of_workflow else jobs.c.state
    conditions = _conditions(states, of_workflow, state)
    return sa.select(sa.func.count()).select_from(jobs).where(*conditions)


@functools.lru_cache(maxsize=256)
def selected_sequences(
    states: frozenset[JobState], *, of_workflow: bool, by_duration: bool, descending: bool
) -> sa.Select[Any]:
    """The sequences of such jobs in order: `how_many` after the first `skip` ones."""
    first = jobs.c.duration if by_duration else jobs.c.created_at
    columns: list[sa.ColumnElement[Any]] = [first, jobs.c.sequence]
    order = [sa.desc(column) if descending else column for column in columns]
    return (
        sa.select(jobs.c.sequence)
        .where(*_conditions(states, of_workflow, _HIDDEN_STATE))
        .order_by(*order)
        .offset(sa.bindparam("skip"))
        .limit(sa.bindparam("how_many"))
    )


def _conditions(
    states: frozenset[JobState], of_workflow: bool, state: sa.ColumnElement[str]
) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if len(states) < len(JobState):
        conditions.append(state.in_([state.value for state in JobState if state in states]))
    if of_workflow:
        conditions.append(jobs.c.workflow_id == sa.bindparam("of_workflow_id"))
    return conditions
