"""Links of a submitted graph."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.executor.graphs import Graph, Validator, node


async def test_a_missing_required_input_is_an_error(validate: Validator) -> None:
    error = await validate.error({"1": node("Show")})

    assert error["type"] == "required_input_missing"
    assert error["details"] == "image"
    assert error["extra_info"] == {"input_name": "image"}


@pytest.mark.parametrize("value", [[], ["1"], ["1", 0, 0]])
async def test_a_list_that_is_no_link_is_an_error(validate: Validator, value: Any) -> None:
    error = await validate.error({"1": node("Show", image=value)})

    assert error["type"] == "bad_linked_input"
    assert error["details"] == "image"
    assert error["extra_info"] == {
        "input_name": "image",
        "input_config": ["IMAGE", {}],
        "received_value": value,
    }


async def test_a_link_of_another_type_is_an_error(validate: Validator) -> None:
    error = await validate.error({"1": node("Show", image=["2", 1]), "2": node("Make")})

    assert error["type"] == "return_type_mismatch"
    assert error["details"] == "image, received_type(MASK) mismatch input_type(IMAGE)"
    assert error["extra_info"] == {
        "input_name": "image",
        "input_config": ["IMAGE", {}],
        "received_type": "MASK",
        "linked_node": ["2", 1],
    }


async def test_a_list_of_options_may_be_linked_to_a_combo(validate: Validator) -> None:
    graph = {
        "1": node("Literals", combo=["2", 0]),
        "2": node("Choose", choice="a"),
    }
    assert (await validate(graph)).outputs == ("1",)


@pytest.mark.parametrize(
    ("graph", "kind"),
    [
        ({"1": node("Show", image=["9", 0])}, "KeyError"),
        ({"1": node("Show", image=[2, 0]), "2": node("Make")}, "KeyError"),
        ({"1": node("Show", image=[["2"], 0]), "2": node("Make")}, "KeyError"),
        ({"1": node("Show", image=["2", 2]), "2": node("Make")}, "IndexError"),
        ({"1": node("Show", image=["2", -1]), "2": node("Make")}, "IndexError"),
        ({"1": node("Show", image=["2", "0"]), "2": node("Make")}, "TypeError"),
        ({"1": node("Show", image=["2", True]), "2": node("Make")}, "TypeError"),
        ({"1": {"class_type": "Show"}}, "KeyError"),
        ({"1": {"class_type": "Show", "inputs": []}}, "TypeError"),
        ({"1": node("Literals", union="text")}, "TypeError"),
    ],
)
async def test_a_broken_graph_is_filed_under_the_output(
    validate: Validator, graph: Graph, kind: str
) -> None:
    rejected = await validate.rejection(graph)

    assert list(rejected.node_errors) == ["1"]
    (error,) = rejected.node_errors["1"]["errors"]
    assert error["type"] == "exception_during_validation"
    assert error["extra_info"] == {"exception_type": kind, "traceback": []}
    assert error["details"] in rejected.error["details"]
    assert rejected.node_errors["1"]["dependent_outputs"] == ["1"]


@pytest.mark.parametrize(
    "broken", [{"class_type": "Invert"}, node("Invert", image=["9", 0])], ids=["no inputs", "link"]
)
async def test_a_broken_node_upstream_is_named_too(validate: Validator, broken: Graph) -> None:
    graph = {
        "1": node("Show", image=["2", 0]),
        "2": node("Invert", image=["3", 0]),
        "3": broken,
        "4": node("Show", image=["3", 0]),
    }

    rejected = await validate.rejection(graph)

    assert list(rejected.node_errors) == ["1", "3", "4"]
    (error,) = rejected.node_errors["3"]["errors"]
    assert error["type"] == "exception_during_inner_validation"
    info = error["extra_info"]
    assert error["details"] == info["exception_message"]
    assert info["exception_type"] == "KeyError"
    assert (info["input_name"], info["input_config"]) == ("image", ["IMAGE", {}])
    assert info["linked_node"] == ["3", 0]
    assert info["traceback"] == []
    assert rejected.node_errors["3"]["dependent_outputs"] == ["1", "4"]
    for output in ("1", "4"):
        (error,) = rejected.node_errors[output]["errors"]
        assert error["type"] == "exception_during_validation"


async def test_a_broken_link_does_not_hide_other_errors(validate: Validator) -> None:
    graph = {
        "1": node("Show", image=["2", 0]),
        "2": node("Invert", image=["3", 0]),
        "3": node("Invert", image=["9", 0]),
        "4": node("Literals", i=99),
    }

    rejected = await validate.rejection(graph)

    assert list(rejected.node_errors) == ["1", "3", "4"]


@pytest.mark.parametrize(
    ("links", "shown"),
    [
        ({"2": "2"}, "2 -> 2"),
        ({"2": "3", "3": "2"}, "2 -> 3 -> 2"),
        ({"2": "3", "3": "4", "4": "3"}, "3 -> 4 -> 3"),
    ],
)
async def test_the_nodes_of_a_cycle_are_named(
    validate: Validator, links: dict[str, str], shown: str
) -> None:
    graph = {"1": node("Show", image=["2", 0])}
    graph |= {name: node("Invert", image=[producer, 0]) for name, producer in links.items()}

    rejected = await validate.rejection(graph)

    assert rejected.error["type"] == "prompt_outputs_failed_validation"
    assert f"the nodes {shown} form a cycle" in rejected.error["details"]
    (error,) = rejected.node_errors["1"]["errors"]
    assert error["extra_info"]["exception_type"] == "DependencyCycleError"


async def test_each_node_of_a_cycle_has_an_error_that_names_the_cycle(validate: Validator) -> None:
    graph = {
        "1": node("Show", image=["2", 0]),
        "2": node("Invert", image=["3", 0]),
        "3": node("Invert", image=["2", 0]),
        "4": node("Invert", image=["3", 0]),  # behind the cycle, not of it
        "5": node("Show", image=["4", 0]),
    }

    rejected = await validate.rejection(graph)

    cycles = {
        node_id: [e["extra_info"] for e in entry["errors"] if e["type"] == "dependency_cycle"]
        for node_id, entry in rejected.node_errors.items()
    }
    assert set(cycles) == {"1", "2", "3", "5"}
    assert cycles["1"] == cycles["5"] == []
    for node_id in ("2", "3"):
        (info,) = cycles[node_id]
        assert info["node_id"] == node_id
        assert sorted(info["cycle_nodes"]) == ["2", "3"]


async def test_a_very_long_cycle_has_a_short_answer(validate: Validator) -> None:
    count = 5000
    graph = {str(i): node("Invert", image=[str((i + 1) % count), 0]) for i in range(count)}
    graph["out"] = node("Show", image=["0", 0])

    rejected = await validate.rejection(graph)

    assert len(json.dumps(rejected.node_errors)) < 300_000


async def test_an_output_that_reaches_a_cycle_late_fails_too(validate: Validator) -> None:
    graph = {
        "1": node("Show", image=["2", 0]),
        "2": node("Invert", image=["3", 0]),
        "3": node("Invert", image=["2", 0]),
        "late": node("Show", image=["3", 0]),
    }
    rejected = await validate.rejection(graph)

    assert list(rejected.node_errors) == ["1", "2", "3", "late"]


async def test_two_ways_to_one_node_are_no_cycle(validate: Validator) -> None:
    graph = {
        "1": node("Show", image=["2", 0]),
        "2": node("Any", any=["3", 0]),
        "3": node("Make"),
        "4": node("Show", image=["2", 0]),
        "5": node("Literals", any=["3", 0], i=["2", 0]),
    }
    graph["5"]["inputs"]["i"] = 3

    assert (await validate(graph)).outputs == ("1", "4", "5")


async def test_undeclared_inputs_are_never_an_error(validate: Validator) -> None:
    graph = {"1": node("Make", extra=["9", 0], more=[1, 2, 3]), "2": node("Show", image=["1", 0])}

    assert (await validate(graph)).outputs == ("2",)
