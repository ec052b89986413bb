"""The page on adding a family names every family and field, and how much each takes."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from models.families import families
from models.families.family import Family

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/adding-a-family.md").read_text(encoding="utf-8")
SIZES = re.findall(r"`(models/[\w/]+\.py)` (?:\|\s*(\d+)|\((\d+)\))", PAGE)


def test_every_family_has_a_row() -> None:
    named = {Path(path).stem.replace("_", "") for path, *_ in SIZES}
    assert named >= {family.name.replace("_", "") for family in families()}


@pytest.mark.parametrize(("path", "one", "other"), SIZES)
def test_the_lines_of_a_file_are_about_as_many_as_it_says(path: str, one: str, other: str) -> None:
    stated = int(one or other)
    actual = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    # Rough on purpose: a comment in a family is no reason to change the page.
    assert abs(actual - stated) <= max(10, actual // 4)


def test_every_field_of_a_family_is_explained() -> None:
    explained = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert explained == {field.name for field in fields(Family)}
