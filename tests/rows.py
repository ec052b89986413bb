"""Tables of rows and the tests that hold us to them, as READMEs of test folders have them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent


@dataclass(frozen=True)
class Rows:
    """The tables of one folder's README: `| row | test, test |`, a test as `folder/file::name`."""

    folder: Path

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The rows: what they are about, and the tests."""
        text = (self.folder / "README.md").read_text()
        return re.findall(r"^\| (?!Row|-)(.+?) \| (.+?) \|$", text, re.M)

    @property
    def named(self) -> list[str]:
        """All tests, and files of tests, that rows name."""
        return [name for _, names in self.rows for name in names.split(", ")]

    def missing(self) -> list[str]:
        """What rows name and is not there."""
        missing = []
        for name in self.named:
            file, _, test = name.partition("::")
            path = TESTS / file
            if not path.is_file() or (test and test not in tests_in(path)):
                missing.append(name)
        return missing

    def unnamed(self) -> set[str]:
        """The folder's own tests that belong to no row."""
        own = f"{self.folder.name}/"
        whole = {name.removeprefix(own) for name in self.named if "::" not in name}
        single = {name.partition("::")[2] for name in self.named if name.startswith(own)}
        return {
            f"{file.name}::{test}"
            for file in self.folder.glob("test_*.py")
            if file.name not in whole | {"test_rows.py"}
            for test in tests_in(file) - single
        }


def tests_in(file: Path) -> set[str]:
    """The names of a file's tests."""
    return set(re.findall(r"^ *(?:async )?def (test_\w+)", file.read_text(), re.M))
