"""The table of rows in the README names tests that exist."""

from __future__ import annotations

from pathlib import Path

from tests.rows import Rows

ROWS = Rows(Path(__file__).parent)


def test_the_tests_of_every_row_exist() -> None:
    assert len(ROWS.rows) > 20
    assert ROWS.missing() == []
