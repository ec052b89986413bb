"""Which jobs a list shows: the page and the count of a selection."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from executor import statements
from executor.jobs import JobSelection

_ALL: Final = (1 << 63) - 1  # a limit that is none


def select_sequences(connection: sa.Connection, selection: JobSelection) -> tuple[list[int], int]:
    """The jobs of a page, and how many there are on all pages."""
    of_workflow = selection.workflow_id is not None
    sequences = statements.selected_sequences(
        selection.states,
        of_workflow=of_workflow,
        by_duration=selection.by_duration,
        descending=selection.descending,
    )
    count = statements.selected_count(selection.states, of_workflow=of_workflow)
    page, of_owner = limited(sequences, selection.owner)
    total, _ = limited(count, selection.owner)
    values = of_owner | ({"of_workflow_id": selection.workflow_id} if of_workflow else {})
    bounds = {
        "skip": selection.offset,
        "how_many": _ALL if selection.limit is None else selection.limit,
    }
    found = connection.execute(page, values | bounds).scalars()
    return list(found), int(connection.execute(total, values).scalar_one())


def limited(
    statement: statements.Limited, owner: str | None
) -> tuple[statements.Limited, dict[str, Any]]:
    """The statement for jobs of one owner (None: of any), and the value that this takes."""
    return (statement, {}) if owner is None else (statements.owned(statement), {"of_owner": owner})
