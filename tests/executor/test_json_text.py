"""JSON texts with numbers that are odd."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from executor import json_text


@pytest.mark.parametrize(
    "value", [{"b": 1, "a": [1.5, None, "ü"]}, [2**80, -(2**70)], "\ud800", 2**64 - 1]
)
def test_values_come_back_as_they_were(value: Any) -> None:
    assert json_text.decode(json_text.encode(value)) == value


def test_odd_numbers_are_kept_where_they_are_announced() -> None:
    text = json_text.encode([math.nan, math.inf, "x"], has_odd_numbers=True)

    assert text == b'[NaN,Infinity,"x"]'
    back = json_text.decode(text)
    assert math.isnan(back[0]) and back[1:] == [math.inf, "x"]


@pytest.mark.parametrize(
    ("value", "limit", "expected"),
    [
        (1, 0, False),
        ([], 0, True),
        ([], 1, False),
        ({"a": [1, {"b": 2}]}, 2, True),
        ({"a": [1, {"b": 2}]}, 3, False),
        ("[[[", 0, False),
    ],
)
def test_nesting_is_measured(value: Any, limit: int, expected: bool) -> None:
    assert json_text.is_deeper(value, limit) is expected


LARGE = "x" * json_text.LARGE


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": {str(n): {"inputs": {"a": [n, None]}} for n in range(20_000)}, "b": 2**70},
        [[LARGE, {"a": LARGE}], {}, LARGE],
        {"a": {"b": {"c": {"d": {"e": [LARGE, {"f": 1.5}]}}}}},
        LARGE,
        [1, 2],
    ],
)
def test_a_large_text_decoded_in_pieces_is_the_same(value: Any) -> None:
    text = json.dumps(value, indent=1).encode()
    decoded = json_text.decode_in_pieces(text)
    assert decoded == value
    assert json.dumps(decoded) == json.dumps(value)  # in the same order


@pytest.mark.parametrize("end", ["", "}", "]x", ', "\\ud800"]', ", NaN]", ", 01]", ', "a" 1]'])
def test_a_large_text_that_is_broken_anywhere_is_refused(end: str) -> None:
    with pytest.raises(ValueError):
        json_text.decode_in_pieces(f'[["{LARGE}"], {{"a": "{LARGE}"}}{end}'.encode())


def test_odd_numbers_in_a_large_text_are_read() -> None:
    assert math.isnan(json_text.decode_large(f'["{LARGE}", NaN]'.encode())[1])
