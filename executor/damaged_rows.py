"""Reads jobs with their documents; of what is damaged in one, the others know nothing.

SQLite tells damaged pages, not all changed bytes. What clients get is JSON, whatever was stored.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa

from executor import json_text
from executor.schema import jobs, requests, results

PAGE_SIZE: Final = 4 << 20  # characters of documents that are read at once, one row at least

log = logging.getLogger(__name__)

T = TypeVar("T")

# Name -> column, and what stands for a document that cannot be read.
_DOCUMENTS: Final[Mapping[str, tuple[sa.Column[str], str]]] = {
    column.name: (column, otherwise)
    for column, otherwise in (
        (requests.c.prompt, "{}"),
        (requests.c.extra_data, "{}"),
        (requests.c.outputs_to_execute, "[]"),
        (results.c.outputs, "{}"),
        (results.c.meta, "{}"),
        (results.c.messages, "[]"),
    )
}


class Rows:
    """Reads rows of jobs. Owned by one thread."""

    def __init__(self) -> None:
        self._reported: set[tuple[int, str]] = set()  # sequence, what is damaged

    def whole(
        self, connection: sa.Connection, statement: sa.Select[Any], values: Mapping[str, Any]
    ) -> list[Any]:
        """The rows; those of which something was damaged have a list of it, `damaged`.

        Raises DatabaseError if not even the jobs can be read.
        """
        return self._checked_rows(connection, statement, values, sys.maxsize)[0]

    def page(
        self, connection: sa.Connection, statement: sa.Select[Any], values: Mapping[str, Any]
    ) -> tuple[list[Any], bool]:
        """As `whole`, but no more rows when these are large; whether it was so."""
        return self._checked_rows(connection, statement, values, PAGE_SIZE)

    def _checked_rows(
        self,
        connection: sa.Connection,
        statement: sa.Select[Any],
        values: Mapping[str, Any],
        most: int,
    ) -> tuple[list[Any], bool]:
        try:
            rows, is_cut = _read(connection, statement, values, most)
        except sa.exc.DatabaseError as error:
            log.debug("jobs are read one by one: %s", error)
            rows, is_cut = self._without_damage(connection, statement, values), False
        return [self._checked(row) for row in rows], is_cut

    def made(self, rows: Sequence[Any], make: Callable[[Any], T]) -> Iterator[T]:
        """What is made of each row, without those of which nothing can be made."""
        for row in rows:
            try:
                yield make(row)
            except (ValueError, TypeError):  # such as a state that there is not
                self._report(row.sequence, "row")

    def each(
        self, connection: sa.Connection, statement: sa.Select[Any], sequences: Sequence[int]
    ) -> list[Any]:
        """The rows of a statement that takes `of_sequences`, without those that are damaged."""
        try:
            return list(connection.execute(statement, {"of_sequences": sequences}).all())
        except sa.exc.DatabaseError as error:
            if len(sequences) == 1:
                raise
            failed = 0
            found: list[Any] = []
            for sequence in sequences:
                try:
                    found += connection.execute(statement, {"of_sequences": [sequence]}).all()
                except sa.exc.DatabaseError:
                    self._report(sequence, "row")
                    failed += 1
            if failed == len(sequences):
                raise error
            return found

    def _without_damage(
        self, connection: sa.Connection, statement: sa.Select[Any], values: Mapping[str, Any]
    ) -> list[Any]:
        asked = [column.name for column in statement.selected_columns]
        own = [column for column in statement.selected_columns if column.table is jobs]
        short = statement.with_only_columns(*own, maintain_column_froms=True)
        found = []
        for row in connection.execute(short, values).all():
            documents = {
                name: self._document(connection, row.sequence, name)
                for name in asked
                if name in _DOCUMENTS
            }
            found.append(SimpleNamespace(**row._mapping, **documents))
        return found

    def _document(self, connection: sa.Connection, sequence: int, name: str) -> str | None:
        """A document, None if there is none, and no JSON if it cannot be read."""
        column, _ = _DOCUMENTS[name]
        try:
            text: str | None = connection.execute(
                sa.select(column).where(column.table.c.sequence == sequence)
            ).scalar()
        except sa.exc.DatabaseError:
            return ""
        return text

    def _checked(self, row: Any) -> Any:
        names = [name for name in _DOCUMENTS if hasattr(row, name)]
        damaged = [name for name in names if not _is_json(getattr(row, name))]
        if not damaged:
            return row
        for name in damaged:
            self._report(row.sequence, name)
        fields = vars(row) if isinstance(row, SimpleNamespace) else row._mapping
        replaced = {name: _DOCUMENTS[name][1] for name in damaged}
        return SimpleNamespace(**{**fields, **replaced, "damaged": damaged})

    def _report(self, sequence: int, what: str) -> None:
        if (sequence, what) not in self._reported:
            self._reported.add((sequence, what))
            log.error("the record of job number %d is damaged: its %s", sequence, what)


def _read(
    connection: sa.Connection, statement: sa.Select[Any], values: Mapping[str, Any], most: int
) -> tuple[list[Any], bool]:
    rows: list[Any] = []
    with connection.execute(statement, values) as found:
        for row in found:
            rows.append(row)
            most -= sum(len(value) for value in row if isinstance(value, str))
            if most < 0:
                return rows, True
    return rows, False


def _is_json(text: str | None) -> bool:
    if text is None:
        return True
    try:
        msgspec.json.decode(text, type=msgspec.Raw)  # only looked over: a second for a gigabyte
    except ValueError:
        try:
            json_text.decode(text.encode())
        except ValueError:
            return False
    return True
