"""Nodes that choose values or show them as text, in the engine."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.logic import ComfySwitchNode, CustomCombo
from nodes.strings import RegexExtract, RegexReplace, StringCompare
from nodes.text_preview import PreviewAny
from tests.executor.worker.harness import BASIC, Bench, node

CLASSES = {
    **BASIC,
    "ComfySwitchNode": ComfySwitchNode,
    "CustomCombo": CustomCombo,
    "PreviewAny": PreviewAny,
}


def shown(graph: dict[str, Any]) -> Any:
    """What node `out` shows."""
    return Bench(CLASSES).run(graph, "out").finished.outputs["out"]["text"]


@pytest.mark.parametrize(("switch", "text"), [(True, "yes"), (False, "no")])
def test_a_switch_runs_only_the_side_that_it_asks_for(switch: bool, text: str) -> None:
    other = node("Fail", value=0)
    graph = {
        "yes": node("Value", value="yes") if switch else other,
        "no": other if switch else node("Value", value="no"),
        "switch": node("ComfySwitchNode", switch=switch, on_true=["yes", 0], on_false=["no", 0]),
        "out": node("PreviewAny", source=["switch", 0]),
    }
    assert shown(graph) == [text]


def test_a_switch_without_the_side_that_is_asked_for_gives_nothing() -> None:
    assert ComfySwitchNode().run(switch=True, on_false=1) == (None,)
    graph = {
        "no": node("Fail", value=0),
        "switch": node("ComfySwitchNode", switch=True, on_false=["no", 0]),
        "out": node("PreviewAny", source=["switch", 0]),
    }
    assert shown(graph) == ["None"]


def test_a_custom_choice_takes_what_the_front_end_adds_to_it() -> None:
    graph = {
        "combo": node("CustomCombo", choice="b", index=1, option1="a", option2="b"),
        "out": node("PreviewAny", source=["combo", 1]),
    }
    assert shown(graph) == ["1"]
    graph["out"] = node("PreviewAny", source=["combo", 0])
    assert shown(graph) == ["b"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a\nb", "a\nb"),
        (1.5, "1.5"),
        (None, "None"),
        (True, "True"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
        ({1}, "{1}"),
    ],
)
def test_values_are_shown_as_they_are_as_json_or_as_python_prints_them(
    value: Any, text: str
) -> None:
    assert PreviewAny().run(value) == {"ui": {"text": (text,)}, "result": (text,)}


def test_a_group_that_took_no_part_in_a_match_is_empty() -> None:
    options = {"case_insensitive": False, "multiline": False, "dotall": False}
    found = RegexExtract().run("ab b", "(a)?b", mode="All Groups", group_index=1, **options)
    assert found == ("a\n",)


def test_comparing_without_regard_to_case_regards_neither_side() -> None:
    assert StringCompare().run("ABC", "bc", "Ends With", case_sensitive=False) == (True,)


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        ("a(", "x", r"the pattern 'a\(' cannot be read: missing \)"),
        ("a", r"\1", r"the replacement '\\\\1' cannot be read: invalid group reference"),
        ("a", r"\g<name>", r"the replacement '.*' cannot be read: unknown group name"),
    ],
)
def test_what_cannot_be_read_of_a_replacement_is_named(
    pattern: str, replacement: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        RegexReplace().run("abc", pattern, replacement)
