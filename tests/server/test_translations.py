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
    ],
)
def test_merge(first: dict[str, Any], second: dict[str, Any], expected: dict[str, Any]) -> None:
    merge(first, second)
    assert first == expected


def test_merging_leaves_what_is_added_as_it_was() -> None:
    first: dict[str, Any] = {"a": {"x": [1]}}
    second = {"a": {"x": [2], "y": 1}}
    merge(first, second)
    assert second == {"a": {"x": [2], "y": 1}}


def test_keys_keep_their_order() -> None:
    first = {"b": 1, "a": 1}
    merge(first, {"c": 1, "b": 2})
    assert list(first) == ["b", "a", "c"]
