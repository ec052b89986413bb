"""Bodies of the wrong form are refused with a reason."""

from __future__ import annotations

import math

import pytest

from server.body import field, flag, identifiers, parse_json
from server.errors import BadRequest


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nope",
        b'{"a": 1}x',
        b"\xff\xfe\x00",
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b"--boundary\r\nContent-Disposition: form-data",
    ],
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(BadRequest, match="not valid JSON"):
        parse_json(raw)


def test_nan_is_read_as_python_reads_it() -> None:
    assert math.isnan(parse_json(b'{"a": NaN}')["a"])


def test_utf_16_is_read() -> None:
    assert parse_json('{"a": "\u00e4"}'.encode("utf-16")) == {"a": "\u00e4"}


def test_keys_keep_their_order() -> None:
    assert list(parse_json(b'{"9": 1, "10": 2, "1": 3}')) == ["9", "10", "1"]


def test_large_whole_numbers_stay_exact() -> None:
    assert parse_json(b"[18446744073709551615, 123456789012345678901234567890]") == [
        2**64 - 1,
        123456789012345678901234567890,
    ]


def test_an_absent_or_null_field_is_the_default() -> None:
    assert field({}, "a", str, "x") == field({"a": None}, "a", str, "x") == "x"


@pytest.mark.parametrize(("kind", "value"), [(str, 1), (dict, []), (list, {}), (bool, "true")])
def test_a_field_of_another_type_is_named(kind: type, value: object) -> None:
    with pytest.raises(BadRequest, match="'a' must be") as caught:
        field({"a": value}, "a", kind)
    assert caught.value.extra == {"field": "a"}


def test_a_flag_is_false_unless_it_is_true() -> None:
    assert [flag(body, "a") for body in ({}, {"a": False}, {"a": True})] == [False, False, True]


@pytest.mark.parametrize(
    ("value", "ids"), [(None, []), ([], []), (["a", 5], ["a", "5"]), ("a", ["a"]), (7, ["7"])]
)
def test_ids_come_one_or_many(value: object, ids: list[str]) -> None:
    assert identifiers({"delete": value}, "delete") == ids


@pytest.mark.parametrize("value", [{}, [None], [["a"]], True, 1.5])
def test_other_ids_are_refused(value: object) -> None:
    with pytest.raises(BadRequest, match="'delete' must be a list of ids"):
        identifiers({"delete": value}, "delete")
