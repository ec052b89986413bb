"""The tests that docs/reliability.md names exist, and it names all of this folder's."""

from __future__ import annotations

import re
from pathlib import Path

from tests import rows
from tests.conftest import ROOT


def test_the_documentation_names_the_tests_of_this_folder() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    named = set(re.findall(r"\b([\w/]+\.py)::(test_\w+)", text))
    assert {
        (file, test) for file, test in named if test not in rows.tests_in(rows.TESTS / file)
    } == set()
    own = Path(__file__).parent
    there = {
        (f"{own.name}/{file.name}", test)
        for file in own.glob("test_*.py")
        if file.name != Path(__file__).name
        for test in rows.tests_in(file)
    }
    assert there - named == set()
