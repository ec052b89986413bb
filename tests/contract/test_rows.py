"""The table of rows in the README names tests that exist, and all of this folder's."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
ROWS = re.findall(
    r"^\| (?!Row|-)(.+?) \| (.+?) \|$", (Path(__file__).parent / "README.md").read_text(), re.M
)
NAMED = [name for _, names in ROWS for name in names.split(", ")]
OF_NO_ROW = {"test_rows.py"}


def _tests_in(file: Path) -> set[str]:
    return set(re.findall(r"^ *(?:async )?def (test_\w+)", file.read_text(), re.M))


def test_the_tests_of_every_row_exist() -> None:
    assert len(ROWS) > 50
    missing = []
    for name in NAMED:
        file, _, test = name.partition("::")
        path = TESTS / file
        if not path.is_file() or (test and test not in _tests_in(path)):
            missing.append(name)
    assert missing == []


def test_every_test_of_this_folder_belongs_to_a_row() -> None:
    files = {file.name: _tests_in(file) for file in Path(__file__).parent.glob("test_*.py")}
    whole = {name.removeprefix("contract/") for name in NAMED if "::" not in name}
    single = {name.partition("::")[2] for name in NAMED if name.startswith("contract/")}
    unnamed = {
        f"{file}::{test}"
        for file, tests in files.items()
        if file not in whole | OF_NO_ROW
        for test in tests - single
    }
    assert unnamed == set()
