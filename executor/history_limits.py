"""How much of the history is kept: by number, by age, by size. Used in the writer's thread only."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from executor import statements

_LOOK_AT_AGE_MS: Final = 60_000  # that looking for old jobs, which reads all, comes after the last
_PAGE: Final = 64


@dataclass(slots=True)
class _Total:
    jobs: int
    size: int  # bytes; counted only where there is a limit


class HistoryLimits:
    """Deletes the oldest ended jobs when there are more than are kept."""

    def __init__(self, jobs: int, days: float, size: int) -> None:
        """The most jobs that are kept, for how many days (0: any), of how many bytes (0: any)."""
        self._most = jobs
        self._days = days
        self._largest = size
        self._look_at_age = 0  # ms since 1970
        self._total: _Total | None = None  # None: to be counted

    def forget(self) -> None:
        """What was counted may have been undone."""
        self._total = None

    def note_ended(self, connection: sa.Connection, sequences: Collection[int]) -> None:
        """These jobs have ended."""
        if self._total is None:
            return
        self._total.jobs += len(sequences)
        if self._largest:
            values = {"of_sequences": list(sequences)}
            self._total.size += connection.execute(statements.size_of_jobs, values).scalar_one()

    def note_deleted(self, count: int) -> None:
        """So many ended jobs were deleted."""
        if self._largest:
            self.forget()
        elif self._total is not None:
            self._total.jobs -= count

    def prune(self, connection: sa.Connection, now_ms: int) -> None:
        """Delete what is too old, one too many, or too much; the newest entry stays."""
        if self._days and now_ms >= self._look_at_age:
            self._look_at_age = now_ms + _LOOK_AT_AGE_MS
            before = {"before": now_ms - int(self._days * 86_400_000)}
            self.note_deleted(connection.execute(statements.delete_ended_before, before).rowcount)
        if self._total is None:
            self._total = _Total(*connection.execute(statements.total_of_ended).one())
        surplus = self._total.jobs - self._most
        if surplus > 0:
            self._delete_oldest(connection, surplus)
        while self._largest and self._total.size > self._largest and self._total.jobs > 1:
            self._make_room(connection)

    def _delete_oldest(self, connection: sa.Connection, count: int) -> None:
        assert self._total is not None
        oldest = {"how_many": count}
        if self._largest:
            self._total.size -= connection.execute(statements.size_of_oldest, oldest).scalar_one()
        connection.execute(statements.delete_oldest_ended, oldest)
        self._total.jobs -= count

    def _make_room(self, connection: sa.Connection) -> None:
        """Delete as many of the oldest as make room, a page at most."""
        assert self._total is not None
        most = min(_PAGE, self._total.jobs - 1)
        sizes = connection.execute(statements.oldest_sizes, {"how_many": most}).scalars().all()
        count, left = 0, self._total.size
        while count < len(sizes) and left > self._largest:
            left -= sizes[count]
            count += 1
        self._delete_oldest(connection, count)
