"""The documentation is true: links lead somewhere, and what it names exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.flags import FLAGS

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "benchmarks/*.md")
    for page in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
MAKE = re.compile(r"(?:`|^ {4})make ([a-z][a-z-]*)", re.MULTILINE)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
NAMED_FILE = re.compile(r"`((?:server|executor|nodes|models|compat|tests|docs|examples)/[\w./-]*)`")


def _names(pattern: re.Pattern[str]) -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for name in pattern.findall(page.read_text(encoding="utf-8")):
            yield page, name


def test_there_are_pages_to_check() -> None:
    assert {ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docs/index.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_resolves(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    files = [link.partition("#")[0] for link in links if "://" not in link and link[0] != "#"]
    assert [file for file in files if not (page.parent / file).exists()] == []


def test_every_make_target_in_the_documentation_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    named = {name for _, name in _names(MAKE)}
    assert {"run", "test", "check"} <= named
    assert named - targets == set()


def test_every_flag_in_the_readme_exists() -> None:
    named = set(FLAG.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert "--base-directory" in named
    assert named - {flag.name for flag in FLAGS} == {"--help"}


def test_every_source_file_in_the_documentation_exists() -> None:
    missing = {(page.name, name) for page, name in _names(NAMED_FILE) if not (ROOT / name).exists()}
    assert missing == set()


def test_every_test_in_the_documentation_exists() -> None:
    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    named = {found for text in pages for found in NAMED_TEST.findall(text)}
    assert ("tests/attacks/test_paths.py", "test_no_name_leads_out_of_its_folder") in named
    missing = [
        f"{file}::{name}"
        for file, name in sorted(named)
        if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    assert missing == []


def test_every_decision_is_listed_in_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    decisions = [path.name for path in (ROOT / "docs/decisions").glob("*.md")]
    assert decisions
    assert [name for name in decisions if name not in index] == []


def test_every_tested_client_is_listed_with_its_version() -> None:
    table = (ROOT / "docs/clients.md").read_text(encoding="utf-8")
    python = (ROOT / "tests/clients/requirements.txt").read_text(encoding="utf-8")
    javascript = json.loads((ROOT / "tests/clients/package.json").read_text(encoding="utf-8"))
    pins = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?==(.+)$", python, re.MULTILINE))
    pins |= javascript["dependencies"]
    assert len(pins) == 8
    listed = dict(re.findall(r"^\| (\S+) \| (\d\S*) \|", table, re.MULTILINE))
    assert listed == pins


def test_the_changelog_has_an_entry_for_this_version() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"', project, re.MULTILINE)
    assert version is not None
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version[1])} \(\d{{4}}-\d\d-\d\d\)", changelog, re.MULTILINE)
