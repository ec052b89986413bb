"""Merging the texts of node packs."""

from __future__ import annotations

from typing import Any

import pytest

from server.translations import merge


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"y": 2, "z": 2}}, {"a": {"x": 1, "y": 2, "z": 2}}),
        ({"a": [1, 2]}, {"a": [2, 3]}, {"a": [1, 2, 2, 3]}),
        ({"a": [1]}, {"a": "x"}, {"a": "x"}),
        ({"a": {"x": 1}}, {"a": [1]}, {"a": [1]}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        (1, {"a": 1}, {"a": 1}),
    ],
)
def test_merge(first: Any, second: Any, expected: Any) -> None:
    assert merge(first, second) == expected


def test_merging_leaves_both_as_they_were() -> None:
    first, second = {"a": {"x": [1]}}, {"a": {"x": [2]}}
    assert merge(first, second) == {"a": {"x": [1, 2]}}
    assert (first, second) == ({"a": {"x": [1]}}, {"a": {"x": [2]}})


def test_keys_keep_their_order() -> None:
    assert list(merge({"b": 1, "a": 1}, {"c": 1, "b": 2})) == ["b", "a", "c"]
