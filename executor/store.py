"""The durable queue and history. Its statements are in `executor.statements`."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from executor import statements
from executor.database import Database, StoreError
from executor.jobs import (
    FinishedJob,
    Job,
    JobOverview,
    JobSelection,
    JobState,
    PromptIdTaken,
    Result,
)
from executor.schema import bring_up_to_date

_LOOK_AT_AGE_MS: Final = 60_000  # that looking for old jobs, which reads all, comes after the last
PAGE: Final = 64  # jobs that one read returns at most


class Store:
    """Jobs in a database. One thread writes and commits in groups, one reads; none blocks the loop.

    A read sees every change that was asked for before it. `start`, `put_back` and `finish` are
    tried until the database can be written; all else raises StoreUnavailable. Made by `open`.
    """

    def __init__(self, url: str, history_limit: int, history_days: float) -> None:
        self._database = Database(url, on_rollback=self._forget_count)
        self._history_limit = history_limit
        self._history_ms = int(history_days * 86_400_000)  # 0: ended jobs of any age are kept
        self._next_look_at_age = 0  # ms since 1970
        self._next_sequence = 1
        self._next_place = 1  # this and the next: used in the writer's thread only
        self._ended: int | None = None  # None: to be counted

    @classmethod
    async def open(
        cls, url: str, *, history_limit: int = 10_000, history_days: float = 0.0
    ) -> Store:
        """Open or make the database and bring its schema up to date; raises StoreError.

        At most so many ended jobs are kept, and only those of so many days (0: of any age).
        Jobs found running (the last server died) are queued again.
        """
        store = cls(url, history_limit, history_days)
        try:
            await store._database.write(store._prepare)
        except Exception as error:
            await store.close()
            raise StoreError(url, str(error)) from error
        return store

    async def close(self) -> None:
        """Commit what is pending and let go of the database. Idempotent."""
        await self._database.close()

    async def add(self, job: Job) -> Job:
        """Queue a job; returns it with its sequence once it is on disk.

        Raises ValueError for a number that is not finite, PromptIdTaken for the id of another job,
        StoreUnavailable.
        """
        if not math.isfinite(job.number):
            raise ValueError(f"a job's number must be finite, not {job.number}")
        sequence = self._next_sequence
        self._next_sequence += 1
        try:
            await self._database.insert(_job_rows(job, sequence))
        except sa.exc.IntegrityError as error:  # the index of ids decides, whoever asks meanwhile
            raise PromptIdTaken(job.prompt_id) from error
        return dataclasses.replace(job, sequence=sequence)

    def start(self, sequence: int, worker: str) -> asyncio.Future[bool]:
        """queued -> running; whether this call made the change."""
        values = {"of_sequence": sequence, "by_worker": worker, "at": now_ms()}

        def operation(connection: sa.Connection) -> bool:
            return connection.execute(statements.start_job, values).rowcount == 1

        return self._database.submit(operation, is_kept=True)

    def put_back(self, sequence: int, *, count_attempt: bool) -> asyncio.Future[bool]:
        """running -> queued; whether this call made the change."""
        values = {"of_sequence": sequence, "fewer_attempts": 0 if count_attempt else 1}

        def operation(connection: sa.Connection) -> bool:
            return connection.execute(statements.put_back_job, values).rowcount == 1

        return self._database.submit(operation, is_kept=True)

    def finish(self, job: Job, result: Result) -> asyncio.Future[bool]:
        """running -> the result's state; whether this call made the change."""
        ended_at = now_ms()

        def operation(connection: sa.Connection) -> bool:
            return self._finish(connection, job, result, ended_at)

        return self._database.submit(operation, is_kept=True)

    async def cancel(self, sequences: Collection[int]) -> list[tuple[str, str | None]]:
        """queued -> cancelled; the ids and clients of the jobs that this call changed."""
        at = now_ms()

        def operation(connection: sa.Connection) -> list[tuple[str, str | None]]:
            cancelled = []
            for sequence in sequences:
                values = {"of_sequence": sequence, "at": at, "at_place": self._next_place}
                if connection.execute(statements.cancel_job, values).rowcount == 1:
                    self._next_place += 1
                    owner = {"of_sequence": sequence}
                    prompt_id, client_id = connection.execute(statements.owner_of_job, owner).one()
                    cancelled.append((prompt_id, client_id))
            self._count_ended(connection, len(cancelled))
            self._prune(connection)
            return cancelled

        return await self._database.write(operation, is_durable=True)

    async def delete_history(self, prompt_ids: Collection[str]) -> int:
        """Forget ended jobs; how many there were. Unknown ids are ignored."""

        def operation(connection: sa.Connection) -> int:
            deleted = sum(
                connection.execute(statements.delete_ended, {"of_prompt": prompt_id}).rowcount
                for prompt_id in prompt_ids
            )
            self._count_ended(connection, -deleted)
            return deleted

        return await self._database.write(operation)

    async def clear_history(self) -> int:
        """Forget all ended jobs; how many there were."""

        def operation(connection: sa.Connection) -> int:
            self._forget_count()
            return connection.execute(statements.delete_all_ended).rowcount

        return await self._database.write(operation)

    async def waiting(self) -> list[tuple[float, str, int]]:
        """(number, prompt_id, sequence) of every waiting job, in the order they will run."""

        def operation(connection: sa.Connection) -> list[tuple[float, str, int]]:
            rows = connection.execute(statements.waiting_keys).all()
            return [(number, prompt_id, sequence) for number, prompt_id, sequence in rows]

        return await self._database.read(operation)

    async def largest_waiting_number(self) -> int | None:
        """The largest automatic number (without sign) among waiting jobs."""

        def operation(connection: sa.Connection) -> int | None:
            largest = connection.execute(statements.largest_waiting_number).scalar()
            return None if largest is None else int(largest)

        return await self._database.read(operation)

    async def job(self, sequence: int) -> Job | None:
        """The job of that sequence, if there is one."""
        jobs = await self._jobs(statements.job_by_sequence, {"of_sequence": sequence})
        return jobs[0] if jobs else None

    @property
    def revision(self) -> int:
        """What was read before and after is the same as long as this number is."""
        return self._database.revision

    async def queue(self) -> tuple[Sequence[Job], Sequence[Job]]:
        """What runs, the longest running first, and the first page of what waits, in its order."""

        def operation(connection: sa.Connection) -> tuple[list[Job], list[Job]]:
            running = _read_jobs(connection, statements.running_jobs, {})
            return running, _read_jobs(connection, statements.first_queued, {"how_many": PAGE})

        return await self._database.read(operation)

    async def queued_after(self, page: Sequence[Job]) -> AsyncIterator[Sequence[Job]]:
        """The waiting jobs after those of a page, in further pages."""
        while len(page) == PAGE:
            last = page[-1]
            values = {
                "after_number": float(last.number),
                "after_prompt": last.prompt_id,
                "after_sequence": last.sequence,
                "how_many": PAGE,
            }
            page = await self._jobs(statements.next_queued, values)
            yield page

    async def history(
        self, *, max_items: int | None = None, offset: int = -1
    ) -> AsyncIterator[Sequence[FinishedJob]]:
        """Finished jobs, oldest first, in pages.

        `offset` >= 0 skips that many of the oldest, `max_items` limits; without an offset (or
        with a negative one) the newest `max_items` come.
        """
        left = max_items
        page, last = await self._first_entries(max_items, offset)
        while page:
            yield page
            if left is not None:
                left -= len(page)
            if left == 0 or len(page) < PAGE:
                return
            values = {"after_place": last, "how_many": _page_size(left)}
            page, last = await self._entries(statements.next_history, values)

    async def finished_job(self, prompt_id: str) -> FinishedJob | None:
        """The history entry of a prompt id; None while it waits or runs."""
        page, _ = await self._entries(statements.history_of_prompt, {"of_prompt": prompt_id})
        return page[-1] if page else None

    async def select(self, selection: JobSelection) -> tuple[list[int], int]:
        """The sequences of a selection's jobs in its order, and how many it has without limit."""

        def operation(connection: sa.Connection) -> tuple[list[int], int]:
            found = connection.execute(statements.selected_sequences(selection)).scalars()
            total = connection.execute(statements.selected_count(selection)).scalar_one()
            return list(found), int(total)

        return await self._database.read(operation)

    async def overviews(self, sequences: Sequence[int]) -> AsyncIterator[Sequence[JobOverview]]:
        """What lists show of these jobs, in the given order, in pages, without deleted ones."""
        for first in range(0, len(sequences), PAGE):
            wanted = sequences[first : first + PAGE]
            found = await self._overviews(statements.overviews, {"of_sequences": wanted})
            by_sequence = {overview.sequence: overview for overview in found}
            yield [by_sequence[sequence] for sequence in wanted if sequence in by_sequence]

    async def overview(self, prompt_id: str) -> JobOverview | None:
        """The job of that id, in whatever state."""
        found = await self._overviews(statements.overview_of_prompt, {"of_prompt": prompt_id})
        return found[0] if found else None

    async def _first_entries(
        self, max_items: int | None, offset: int
    ) -> tuple[list[FinishedJob], int]:
        """The first page of the history, and the place of its last entry."""

        def operation(connection: sa.Connection) -> tuple[list[FinishedJob], int]:
            first: int | None = 1
            if offset > 0:
                oldest = {"skip": offset}
                first = connection.execute(statements.place_from_oldest, oldest).scalar()
            elif offset < 0 and max_items is not None:
                newest = {"skip": max(max_items - 1, 0)}
                first = connection.execute(statements.place_from_newest, newest).scalar() or 1
            if first is None:  # there are not so many
                return [], 0
            values = {"after_place": first - 1, "how_many": _page_size(max_items)}
            return _read_entries(connection, statements.next_history, values)

        return await self._database.read(operation)

    async def _jobs(self, statement: sa.Select[Any], values: dict[str, Any]) -> list[Job]:
        def operation(connection: sa.Connection) -> list[Job]:
            return _read_jobs(connection, statement, values)

        return await self._database.read(operation)

    async def _overviews(
        self, statement: sa.Select[Any], values: dict[str, Any]
    ) -> list[JobOverview]:
        def operation(connection: sa.Connection) -> list[JobOverview]:
            return [_job_overview(row) for row in connection.execute(statement, values)]

        return await self._database.read(operation)

    async def _entries(
        self, statement: sa.Select[Any], values: dict[str, Any]
    ) -> tuple[list[FinishedJob], int]:
        """Entries, and the place of the last one."""

        def operation(connection: sa.Connection) -> tuple[list[FinishedJob], int]:
            return _read_entries(connection, statement, values)

        return await self._database.read(operation)

    def _prepare(self, connection: sa.Connection) -> None:
        bring_up_to_date(connection)
        connection.execute(statements.requeue_running)
        row = connection.execute(statements.counters).one()
        self._next_sequence, self._next_place = row
        self._count_ended(connection, 0)
        self._prune(connection)

    def _finish(self, connection: sa.Connection, job: Job, result: Result, ended_at: int) -> bool:
        values = {
            "of_sequence": job.sequence,
            "to_state": result.state.value,
            "at": ended_at,
            "why": result.error,
            "at_place": self._next_place,
        }
        if connection.execute(statements.finish_job, values).rowcount != 1:
            return False
        connection.execute(statements.insert_result, _result_row(job.sequence, result))
        self._next_place += 1
        self._count_ended(connection, 1)
        self._prune(connection)
        return True

    def _forget_count(self) -> None:
        """What was counted may have been undone."""
        self._ended = None

    def _count_ended(self, connection: sa.Connection, more: int) -> None:
        """So many more jobs have ended."""
        if self._ended is None:
            self._ended = connection.execute(statements.count_ended).scalar_one()
        else:
            self._ended += more

    def _prune(self, connection: sa.Connection) -> None:
        now = now_ms()
        if self._history_ms and now >= self._next_look_at_age:
            self._next_look_at_age = now + _LOOK_AT_AGE_MS
            before = {"before": now - self._history_ms}
            deleted = connection.execute(statements.delete_ended_before, before).rowcount
            self._count_ended(connection, -deleted)
        surplus = (self._ended or 0) - self._history_limit
        if surplus > 0:
            connection.execute(statements.delete_oldest_ended, {"how_many": surplus})
            self._count_ended(connection, -surplus)


def now_ms() -> int:
    """The Unix time in ms, as jobs have it."""
    return time.time_ns() // 1_000_000


def _page_size(left: int | None) -> int:
    return PAGE if left is None else min(left, PAGE)


def _read_jobs(
    connection: sa.Connection, statement: sa.Select[Any], values: dict[str, Any]
) -> list[Job]:
    return [_job(row) for row in connection.execute(statement, values)]


def _read_entries(
    connection: sa.Connection, statement: sa.Select[Any], values: dict[str, Any]
) -> tuple[list[FinishedJob], int]:
    rows = connection.execute(statement, values).all()
    return [_entry(row) for row in rows], rows[-1].place if rows else 0


def _job_rows(job: Job, sequence: int) -> list[tuple[sa.Insert, dict[str, Any]]]:
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
    }
    request = {
        "sequence": sequence,
        "prompt": job.prompt.decode(),
        "extra_data": job.extra_data.decode(),
        "outputs_to_execute": msgspec.json.encode(job.outputs_to_execute).decode(),
    }
    return [(statements.insert_job, row), (statements.insert_request, request)]


def _result_row(sequence: int, result: Result) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "outputs": result.outputs.decode(),
        "meta": result.meta.decode(),
        "messages": result.messages.decode(),
    }


def _job(row: sa.Row[Any]) -> Job:
    return Job(
        prompt_id=row.prompt_id,
        number=_number(row),
        prompt=row.prompt.encode(),
        extra_data=row.extra_data.encode(),
        outputs_to_execute=tuple(msgspec.json.decode(row.outputs_to_execute)),
        created_at=row.created_at,
        client_id=row.client_id,
        workflow_id=row.workflow_id,
        sequence=row.sequence,
        state=JobState(row.state),
        attempts=row.attempts,
        started_at=row.started_at,
        ended_at=row.ended_at,
        worker=row.worker,
        error=row.error,
    )


def _number(row: sa.Row[Any]) -> int | float:
    number: float = row.number
    return int(number) if row.number_is_automatic else number


def _job_overview(row: sa.Row[Any]) -> JobOverview:
    return JobOverview(
        sequence=row.sequence,
        prompt_id=row.prompt_id,
        number=_number(row),
        state=JobState(row.state),
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        workflow_id=row.workflow_id,
        outputs=None if row.outputs is None else row.outputs.encode(),
        messages=None if row.messages is None else row.messages.encode(),
    )


def _entry(row: sa.Row[Any]) -> FinishedJob:
    result = Result(
        state=JobState(row.state),
        outputs=row.outputs.encode(),
        meta=row.meta.encode(),
        messages=row.messages.encode(),
        error=row.error,
    )
    return FinishedJob(job=_job(row), result=result)
