"""The table of rows in the README names tests that exist, and all of this folder's."""

from __future__ import annotations

from pathlib import Path

from tests.rows import Rows

ROWS = Rows(Path(__file__).parent)


def test_the_tests_of_every_row_exist() -> None:
    assert len(ROWS.rows) > 100
    assert ROWS.missing() == []


def test_every_test_of_this_folder_belongs_to_a_row() -> None:
    assert ROWS.unnamed() == set()
