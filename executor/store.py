"""The durable queue and history. Its statements are in `executor.statements`."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any, Final

import sqlalchemy as sa

from executor import statements
from executor.damaged_rows import PAGE_SIZE, Rows
from executor.database import Database
from executor.database_engine import StoreError
from executor.file_owners import FileOwners
from executor.folders import Folders
from executor.history_limits import HistoryLimits
from executor.job_rows import entry_of, job_of, job_rows, overview_of, record_of, result_row
from executor.job_summary import JobSummary
from executor.jobs import (
    Address,
    FinishedJob,
    Job,
    JobOverview,
    JobRecord,
    JobSelection,
    PromptIdTaken,
    Result,
)
from executor.schema import bring_up_to_date
from executor.selection import limited, select_sequences

PAGE: Final = 64  # jobs that one read returns at most


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selected:
    """What `Store.select` has found."""

    sequences: list[int]  # of the jobs, in the order asked for
    total: int  # how many there are without offset and limit
    first_page: list[JobOverview]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Page:
    """A part of the history."""

    entries: list[FinishedJob]
    last_place: int  # of the last entry
    is_followed: bool  # there may be more


class Store:
    """Jobs in a database. One thread writes and commits in groups, one reads; none blocks the loop.

    A read sees every change that was asked for before it. `start`, `put_back` and `finish` are
    tried until the database can be written; all else raises StoreUnavailable. Made by `open`.
    """

    def __init__(self, url: str, limits: HistoryLimits) -> None:
        self._database = Database(url, on_rollback=limits.forget)
        self._limits = limits
        self._next_sequence = 1
        self._next_place = 1  # this and the next: used in the writer's thread only
        self._rows = Rows()  # used in the reader's thread only

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        history_limit: int = 10_000,
        history_days: float = 0.0,
        history_bytes: int = 0,
    ) -> Store:
        """Open or make the database and bring its schema up to date; raises StoreError.

        At most so many ended jobs are kept, only those of so many days (0: of any age), and no
        more than so many bytes of them (0: any).
        Jobs found running (the last server died) are queued again.
        """
        store = cls(url, HistoryLimits(history_limit, history_days, history_bytes))
        try:
            await store._database.write(store._prepare)
            # The reader opens the files while they are there.
            await store._database.read(lambda connection: connection.execute(sa.select(1)))
        except Exception as error:
            await store.close()
            raise StoreError(url, str(error)) from error
        return store

    async def close(self) -> None:
        """Commit what is pending and let go of the database. Idempotent."""
        await self._database.close()

    def file_owners(self, folders: Folders) -> FileOwners:
        """Whose files are, kept in the same database."""
        return FileOwners(self._database, folders)

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
            await self._database.insert(job_rows(job, sequence))
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

    async def cancel(self, sequences: Collection[int]) -> list[tuple[str, Address]]:
        """queued -> cancelled; ids of the jobs that this call changed, and who is to be told."""
        at = now_ms()

        def operation(connection: sa.Connection) -> list[tuple[str, Address]]:
            cancelled, ended = [], []
            for sequence in sequences:
                values = {"of_sequence": sequence, "at": at, "at_place": self._next_place}
                if connection.execute(statements.cancel_job, values).rowcount == 1:
                    self._next_place += 1
                    of_job = {"of_sequence": sequence}
                    row = connection.execute(statements.address_of_job, of_job).one()
                    cancelled.append((row.prompt_id, Address(row.client_id, row.owner)))
                    ended.append(sequence)
            self._limits.note_ended(connection, ended)
            self._limits.prune(connection, now_ms())
            return cancelled

        return await self._database.write(operation, is_durable=True)

    async def delete_history(self, prompt_ids: Collection[str], owner: str | None = None) -> int:
        """Forget ended jobs, of one owner or of any; how many there were.

        Unknown ids are ignored.
        """

        def operation(connection: sa.Connection) -> int:
            delete, of_owner = limited(statements.delete_ended, owner)
            deleted = sum(
                connection.execute(delete, {"of_prompt": prompt_id} | of_owner).rowcount
                for prompt_id in prompt_ids
            )
            self._limits.note_deleted(deleted)
            return deleted

        return await self._database.write(operation)

    async def clear_history(self, owner: str | None = None) -> int:
        """Forget all ended jobs, of one owner or of any; how many there were."""

        def operation(connection: sa.Connection) -> int:
            self._limits.forget()
            delete, of_owner = limited(statements.delete_all_ended, owner)
            return connection.execute(delete, of_owner).rowcount

        return await self._database.write(operation)

    async def waiting(self) -> list[tuple[float, str, int, str | None]]:
        """(number, prompt_id, sequence, owner) of each waiting job, in the order they will run."""

        def operation(connection: sa.Connection) -> list[tuple[float, str, int, str | None]]:
            rows = connection.execute(statements.waiting_keys)
            return [(row.number, row.prompt_id, row.sequence, row.owner) for row in rows]

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

    async def queue(self, owner: str | None = None) -> tuple[Sequence[Job], Sequence[Job]]:
        """What runs, the longest running first, and the first page of what waits, in its order.

        Of one owner, or of any.
        """

        def operation(connection: sa.Connection) -> tuple[list[Job], list[Job]]:
            running, of_owner = limited(statements.running_jobs, owner)
            waiting, _ = limited(statements.first_queued, owner)
            page = {"how_many": PAGE} | of_owner
            return (
                [job_of(row) for row in self._rows.whole(connection, running, of_owner)],
                self._read_jobs(connection, waiting, page),
            )

        return await self._database.read(operation)

    async def queued_after(
        self, page: Sequence[Job], owner: str | None = None
    ) -> AsyncIterator[Sequence[Job]]:
        """The waiting jobs after those of a page, in further pages."""
        statement, of_owner = limited(statements.next_queued, owner)
        while len(page) == PAGE or sum(map(_size, page)) > PAGE_SIZE:
            last = page[-1]
            values = {
                "after_number": float(last.number),
                "after_prompt": last.prompt_id,
                "after_sequence": last.sequence,
                "how_many": PAGE,
            }
            page = await self._jobs(statement, values | of_owner)
            yield page

    async def history(
        self, *, max_items: int | None = None, offset: int = -1, owner: str | None = None
    ) -> AsyncIterator[Sequence[FinishedJob]]:
        """Finished jobs of one owner or of any, oldest first, in pages.

        `offset` >= 0 skips that many of the oldest, `max_items` limits; without an offset (or
        with a negative one) the newest `max_items` come.
        """
        left = max_items
        statement, of_owner = limited(statements.next_history, owner)
        page = await self._first_entries(max_items, offset, owner)
        while page.entries:
            yield page.entries
            if left is not None:
                left -= len(page.entries)
            if left == 0 or not page.is_followed:
                return
            values = {"after_place": page.last_place, "how_many": _page_size(left)}
            page = await self._entries(statement, values | of_owner)

    async def finished_job(self, prompt_id: str, owner: str | None = None) -> FinishedJob | None:
        """The history entry of a prompt id, if it is the owner's; None while it waits or runs."""
        statement, of_owner = limited(statements.history_of_prompt, owner)
        page = await self._entries(statement, {"of_prompt": prompt_id} | of_owner)
        return page.entries[-1] if page.entries else None

    async def select(self, selection: JobSelection) -> Selected:
        """The jobs of a selection."""

        def operation(connection: sa.Connection) -> Selected:
            sequences, total = select_sequences(connection, selection)
            first_page = self._read_overviews(connection, sequences[:PAGE])
            return Selected(sequences=sequences, total=total, first_page=first_page)

        return await self._database.read(operation)

    async def overviews(self, selected: Selected) -> AsyncIterator[Sequence[JobOverview]]:
        """What lists show of the selected jobs, in their order, in pages, without deleted ones."""
        yield selected.first_page
        for first in range(PAGE, len(selected.sequences), PAGE):
            wanted = selected.sequences[first : first + PAGE]

            def operation(connection: sa.Connection, page: list[int] = wanted) -> list[JobOverview]:
                return self._read_overviews(connection, page)

            yield await self._database.read(operation)

    async def record(self, prompt_id: str, owner: str | None = None) -> JobRecord | None:
        """The job of that id, in whatever state, if it is the owner's."""

        def operation(connection: sa.Connection) -> JobRecord | None:
            statement, of_owner = limited(statements.record_of_prompt, owner)
            values = {"of_prompt": prompt_id} | of_owner
            rows = self._rows.whole(connection, statement, values)
            return next(self._rows.made(rows, record_of), None)

        return await self._database.read(operation)

    async def _first_entries(self, max_items: int | None, offset: int, owner: str | None) -> _Page:
        """The first page of the history."""

        def operation(connection: sa.Connection) -> _Page:
            first: int | None = 1
            statement, of_owner = limited(statements.next_history, owner)
            if offset > 0:
                oldest, _ = limited(statements.place_from_oldest, owner)
                first = connection.execute(oldest, {"skip": offset} | of_owner).scalar()
            elif offset < 0 and max_items is not None:
                newest, _ = limited(statements.place_from_newest, owner)
                skip = {"skip": max(max_items - 1, 0)}
                first = connection.execute(newest, skip | of_owner).scalar() or 1
            if first is None:  # there are not so many
                return _Page(entries=[], last_place=0, is_followed=False)
            values = {"after_place": first - 1, "how_many": _page_size(max_items)}
            return self._read_entries(connection, statement, values | of_owner)

        return await self._database.read(operation)

    async def _jobs(self, statement: sa.Select[Any], values: dict[str, Any]) -> list[Job]:
        def operation(connection: sa.Connection) -> list[Job]:
            return self._read_jobs(connection, statement, values)

        return await self._database.read(operation)

    async def _entries(self, statement: sa.Select[Any], values: dict[str, Any]) -> _Page:
        def operation(connection: sa.Connection) -> _Page:
            return self._read_entries(connection, statement, values)

        return await self._database.read(operation)

    def _read_jobs(
        self, connection: sa.Connection, statement: sa.Select[Any], values: dict[str, Any]
    ) -> list[Job]:
        rows, _ = self._rows.page(connection, statement, values)
        return [job_of(row) for row in rows]

    def _read_entries(
        self, connection: sa.Connection, statement: sa.Select[Any], values: dict[str, Any]
    ) -> _Page:
        rows, is_cut = self._rows.page(connection, statement, values)
        return _Page(
            entries=[entry_of(row) for row in rows],
            last_place=rows[-1].place if rows else 0,
            is_followed=is_cut or len(rows) == PAGE,
        )

    def _read_overviews(self, connection: sa.Connection, sequences: list[int]) -> list[JobOverview]:
        """What lists show of these jobs, in the given order, without deleted ones."""
        rows = self._rows.each(connection, statements.overviews, sequences)
        by_sequence = {shown.sequence: shown for shown in self._rows.made(rows, overview_of)}
        return [by_sequence[sequence] for sequence in sequences if sequence in by_sequence]

    def _prepare(self, connection: sa.Connection) -> None:
        bring_up_to_date(connection)
        connection.execute(statements.requeue_running)
        row = connection.execute(statements.counters).one()
        self._next_sequence, self._next_place = row
        self._limits.prune(connection, now_ms())

    def _finish(self, connection: sa.Connection, job: Job, result: Result, ended_at: int) -> bool:
        values = {
            "of_sequence": job.sequence,
            "to_state": result.state.value,
            "at": ended_at,
            "why": result.error,
            "at_place": self._next_place,
            "more_bytes": len(result.outputs) + len(result.meta) + len(result.messages),
            "in_short": JobSummary.of(result).text(),
        }
        if connection.execute(statements.finish_job, values).rowcount != 1:
            return False
        connection.execute(statements.insert_result, result_row(job.sequence, result))
        self._next_place += 1
        self._limits.note_ended(connection, [job.sequence])
        self._limits.prune(connection, now_ms())
        return True


def now_ms() -> int:
    """The Unix time in ms, as jobs have it."""
    return time.time_ns() // 1_000_000


def _size(job: Job) -> int:
    return len(job.prompt) + len(job.extra_data)


def _page_size(left: int | None) -> int:
    return PAGE if left is None else min(left, PAGE)
