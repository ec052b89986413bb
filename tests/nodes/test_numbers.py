"""Numbers: expressions, conversions, sizes, colours; truth values and lists."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nodes.logic import (
    ComfyAndNode,
    ComfyNotNode,
    ComfyOrNode,
    ComfyPassOrNoneNode,
    CreateList,
    GetItemFromList,
)
from nodes.math_expression import BadExpression, evaluate
from nodes.numbers import (
    ColorToRGBInt,
    ComfyMathExpression,
    ComfyNumberConvert,
    ResolutionSelector,
    SeedNode,
)
from nodes.structured_text import (
    ConvertArrayToString,
    ConvertDictionaryToString,
    JsonExtractString,
    StringFormat,
)
from nodes.text_preview import PreviewAny
from tests.executor.worker.harness import BASIC, Bench, node


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a + b", 10),
        ("a / b", 7 / 3),
        ("a // b * 8", 16),
        ("-a % 4", 1),
        ("a & 5 | 2", 7),
        ("~a ^ 1", -7),
        ("a << 2 >> 1", 14),
        ("2 ** 3 ** 2", 512),
        ("a if a > b else b", 7),
        ("1 < b <= 3 and not a < b", True),
        ("a and 0 or b", 3),
        ("max(a, b) + min(a, b)", 10),
        ("sum(values) + sum(a, b)", 20),
        ("values[0]", 7),
        ("round(a / b)", 2),
        ("floor(log2(a * b)) + ceil(sqrt(2))", 6),
        ("pow(b, 2)", 9),
        ("int(2.9) + float(1)", 3.0),
        ("sin(0) + cos(0) + tan(0) + log(1) + log10(100) + abs(-1)", 4.0),
        (" 1\n", 1),
    ],
)
def test_expressions_give_what_python_gives(expression: str, expected: object) -> None:
    result = evaluate(expression, {"a": 7, "b": 3, "values": [7, 3]})
    assert (result, type(result)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (" ", "it is empty"),
        ("1 +", "invalid syntax"),
        ("c", "no input 'c'"),
        ("print(1)", "no function 'print'"),
        ("a.real", "more than arithmetic"),
        ("().__class__", "more than arithmetic"),
        ("'x' * 9", "more than arithmetic"),
        ("[x for x in values]", "more than arithmetic"),
        ("lambda: 1", "more than arithmetic"),
        ("max(values, key=a)", "more than arithmetic"),
        ("values * 1000", "lists are for functions"),
        ("a @ a", "no operator MatMult"),
        ("a in values", "no comparison In"),
        ("1 / 0", "division by zero"),
        ("sqrt(-1)", "."),
        ("values", r"the result is \[7\]"),
        ("1e999", "no finite number"),
        ("9 ** 9 ** 9", "exponents go up to 4000"),
        ("pow(2, 4001)", "exponents"),
        ("((2 ** 4000) ** 4000)", "becomes too large"),
        ("1 << 10 ** 9", "becomes too large"),
        ("2 ** 4000 * 1.0", "too large"),
        ("(-8) ** 0.5", "no finite number"),
        ("(" * 900 + "1" + ")" * 900, "."),
        ("+".join(["1"] * 6000), "more than 10000 characters"),
        ("-" * 9000 + "1", "."),
    ],
)
def test_all_else_is_refused_with_a_reason(expression: str, reason: str) -> None:
    with pytest.raises(BadExpression, match=reason):
        evaluate(expression, {"a": 7, "values": [7]})


def test_an_expression_comes_as_all_kinds_of_numbers() -> None:
    flat = {"expression": "a / b", "values.a": 7, "values.b": -2}
    assert ComfyMathExpression().run_flat(**flat) == (-3.5, -3, True)
    assert ComfyMathExpression().run("a - a", {"a": 1}) == (0.0, 0, False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, (1.0, 1)),
        (-2.9, (-2.9, -2)),
        (" 12 ", (12.0, 12)),
        ("-1.5e1", (-15.0, -15)),
        ("9007199254740993", (9007199254740992.0, 9007199254740993)),
    ],
)
def test_text_and_truth_become_numbers(value: Any, expected: tuple[float, int]) -> None:
    assert ComfyNumberConvert().run(value) == expected


@pytest.mark.parametrize("value", ["", "x", "nan", "1e999", math.inf, 10**400, "1" * 5000])
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"is no (finite )?number"):
        ComfyNumberConvert().run(value)


@pytest.mark.parametrize(
    ("ratio", "megapixels", "multiple", "size"),
    [
        ("1:1 (Square)", 1.0, 8, (1024, 1024)),
        ("16:9 (Widescreen)", 1.0, 8, (1368, 768)),
        ("16:9 (Widescreen)", 0.4, 32, (864, 480)),
        ("3:4 (Portrait Standard)", 2.0, 16, (1248, 1680)),
        ("21:9 (Ultrawide)", 1.0, 64, (1536, 640)),
        ("2:3 (Portrait Photo)", 0.5, 8, (592, 888)),
    ],
)
def test_sizes_are_those_of_the_documented_table(
    ratio: str, megapixels: float, multiple: int, size: tuple[int, int]
) -> None:
    assert ResolutionSelector().run(ratio, megapixels, multiple=multiple) == size


def test_colours_become_numbers() -> None:
    assert ColorToRGBInt().run("#0A0bff") == (0x0A0BFF, "#0A0bff", 1.0)
    assert ColorToRGBInt().run("#00000080")[2] == pytest.approx(128 / 255)
    for colour in ("red", "#fff", "#ggggggg", "#1234567"):
        with pytest.raises(ValueError, match="no colour"):
            ColorToRGBInt().run(colour)


def test_truth_is_what_python_sees() -> None:
    assert ComfyNotNode().run("") == (True,)
    assert ComfyAndNode().run_flat(**{"values.value0": 1, "values.value1": []}) == (False,)
    assert ComfyOrNode().run_flat(**{"values.value0": 0, "values.value1": "x"}) == (True,)
    assert ComfyPassOrNoneNode().run(None, 0) == (0, False)
    assert ComfyPassOrNoneNode().run() == (None, True)
    assert SeedNode().run(5) == (5,)


def test_lists_are_joined_and_taken_apart_in_a_graph() -> None:
    own = (CreateList, GetItemFromList, PreviewAny)
    graph = {
        "a": node("Value", value="x"),
        "b": node("Value", value="y"),
        "one": node("CreateList", **{"inputs.input1": ["b", 0], "inputs.input0": ["a", 0]}),
        "two": node("CreateList", **{"inputs.input0": ["one", 0], "inputs.input1": ["a", 0]}),
        "item": node("GetItemFromList", list=["two", 0], index=1),
        "all": node("Show", value=["two", 0]),
        "out": node("PreviewAny", source=["item", 0]),
    }
    bench = Bench({**BASIC, **{x.__name__: x for x in own}})
    outputs = bench.run(graph, "all", "out").finished.outputs
    assert outputs["all"]["text"] == ["x", "y", "x"]
    assert outputs["out"]["text"] == ["y"]
    with pytest.raises(IndexError, match="no item 2 in a list of 2"):
        GetItemFromList().run([1, 2], [2])


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ('say {"a": "b"} {"a": "c"}', "a", "b"),
        ('{broken {"a": 1.5}', "a", "1.5"),
        ('{"a": {"ä": [1, null]}}', "a", '{"ä": [1, null]}'),
        ('{"a": null}', "a", ""),
        ('{"a": 1}', "b", ""),
        ("no object", "a", ""),
    ],
)
def test_values_are_taken_out_of_json(text: str, key: str, value: str) -> None:
    assert JsonExtractString().run(text, key) == (value,)


def test_structures_are_written_as_json() -> None:
    assert ConvertArrayToString().run([1, "ä"], 0) == ('[1, "ä"]',)
    assert ConvertDictionaryToString().run({"a": 1}, 2) == ('{\n  "a": 1\n}',)


def test_what_json_has_no_form_for_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be written as JSON"):
        ConvertArrayToString().run([object()], 0)


def test_texts_are_filled_with_values_and_nothing_of_them() -> None:
    assert StringFormat().run({"a": 1.5, "b": "x"}, "{b!r:>5}|{a:.2f}|{{}}") == ("  'x'|1.50|{}",)
    for text in ("{a.__class__}", "{a[0]}", "{}", "{c}", "{0}"):
        with pytest.raises(ValueError, match="there is no value"):
            StringFormat().run({"a": "x"}, text)
    with pytest.raises(ValueError, match="too large"):
        StringFormat().run({"a": "x"}, "{a:99999}")
    with pytest.raises(ValueError, match="too large"):
        StringFormat().run({"a": "x", "b": 10**9}, "{a:{b}}")
