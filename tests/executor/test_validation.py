"""What is wrong with a submitted graph as a whole, and what clients are told."""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytest

from tests.executor.graphs import Graph, Validator, literals, node


async def test_a_good_graph_passes_as_it_is(validate: Validator) -> None:
    graph = {"2": node("Show", image=["1", 0]), "1": node("Make"), "unused": node("Invert")}
    original = copy.deepcopy(graph)

    valid = await validate(graph)

    assert valid.prompt == original
    assert list(valid.prompt) == ["2", "1", "unused"]
    assert valid.outputs == ("2",)
    assert valid.node_errors == {}


@pytest.mark.parametrize("graph", [None, "text", 3, [1]])
async def test_a_prompt_that_is_no_object_is_invalid(validate: Validator, graph: Any) -> None:
    rejected = await validate.rejection(graph)

    assert rejected.error["type"] == "invalid_prompt"
    assert rejected.error["extra_info"] == {}
    assert rejected.node_errors == {}


@pytest.mark.parametrize(
    "bad",
    ["text", None, [], {}, {"inputs": {}}, {"class_type": "Nope"}, {"class_type": ["Show"]}],
)
async def test_the_first_node_that_is_none_is_named(validate: Validator, bad: Any) -> None:
    rejected = await validate.rejection({"1": node("Make"), "7": bad, "8": {}})

    assert rejected.error["type"] == "invalid_prompt"
    assert rejected.error["details"] == "Node ID '#7'"
    assert rejected.error["extra_info"]["node_id"] == "7"
    assert rejected.node_errors == {}


async def test_the_message_names_an_unknown_class(validate: Validator) -> None:
    rejected = await validate.rejection({"1": {"class_type": "NoSuchClass"}})

    assert "NoSuchClass" in rejected.error["message"]


async def test_a_dialog_learns_class_and_title_of_an_unknown_node(validate: Validator) -> None:
    unknown = {"class_type": "NoSuchClass", "_meta": {"title": "My node"}}

    rejected = await validate.rejection({"1": unknown})

    about = {"node_id": "1", "class_type": "NoSuchClass", "node_title": "My node"}
    assert rejected.error["extra_info"] == about


@pytest.mark.parametrize("meta", [None, "text", {}, {"title": None}])
async def test_a_title_that_is_not_there_is_null(validate: Validator, meta: Any) -> None:
    rejected = await validate.rejection({"1": {"_meta": meta}})

    about = {"node_id": "1", "class_type": None, "node_title": None}
    assert rejected.error["extra_info"] == about


@pytest.mark.parametrize("graph", [{}, [], {"1": {"class_type": "Make", "inputs": {}}}])
async def test_a_prompt_without_outputs_is_refused(validate: Validator, graph: Any) -> None:
    rejected = await validate.rejection(graph)

    assert rejected.error == {
        "type": "prompt_no_outputs",
        "message": rejected.error["message"],
        "details": "",
        "extra_info": {},
    }
    assert rejected.node_errors == {}


async def test_targets_choose_among_the_outputs(validate: Validator) -> None:
    graph = {"1": node("Make"), "2": node("Show", image=["1", 0]), "3": node("Show")}

    assert (await validate(graph, ["2", "1", "unknown"])).outputs == ("2",)
    rejected = await validate.rejection(graph, [])
    assert rejected.error["type"] == "prompt_no_outputs"


async def test_good_outputs_run_although_others_fail(validate: Validator) -> None:
    graph = {
        "bad": node("Show", image=["worse", 0]),
        "worse": node("Invert"),
        "good": node("Show", image=["1", 0]),
        "1": node("Make"),
    }

    valid = await validate(graph)

    assert valid.outputs == ("good",)
    assert list(valid.node_errors) == ["worse"]
    assert valid.node_errors["worse"]["dependent_outputs"] == ["bad"]
    assert valid.node_errors["worse"]["class_type"] == "Invert"


async def test_only_outputs_that_depend_on_a_bad_node_are_listed(validate: Validator) -> None:
    graph = {
        "a": node("Show", image=["x", 0]),
        "b": node("Show", image=["y", 0]),
        "c": node("Show", image=["mid", 0]),
        "mid": node("Invert", image=["y", 0]),
        "x": node("Invert"),
        "y": node("Invert"),
    }

    rejected = await validate.rejection(graph)

    assert rejected.node_errors["x"]["dependent_outputs"] == ["a"]
    assert rejected.node_errors["y"]["dependent_outputs"] == ["b", "c"]
    assert rejected.error["type"] == "prompt_outputs_failed_validation"
    assert rejected.error["details"] == ""
    assert "mid" not in rejected.node_errors


async def test_errors_of_the_outputs_themselves_are_summed_up(validate: Validator) -> None:
    graph = {"1": node("Show"), "2": node("Show", image=[1])}

    rejected = await validate.rejection(graph)

    lines = rejected.error["details"].split("\n")
    errors = [rejected.node_errors[i]["errors"][0] for i in ("1", "2")]
    assert lines == [f"{error['message']}: {error['details']}" for error in errors]


async def test_several_inputs_give_several_errors_in_order_of_declaration(
    validate: Validator,
) -> None:
    graph = literals(combo="z", f="x", i=-1)

    rejected = await validate.rejection(graph)

    errors = rejected.node_errors["1"]["errors"]
    assert [e["extra_info"]["input_name"] for e in errors] == ["i", "f", "combo"]


@pytest.mark.parametrize("is_closed", [False, True])
async def test_very_deep_graphs_are_checked_without_recursion(
    validate: Validator, is_closed: bool
) -> None:
    count = 20_000
    graph = {"0": node("Make")}
    graph |= {str(i): node("Invert", image=[str(i - 1), 0]) for i in range(1, count)}
    graph["end"] = node("Show", image=[str(count - 1), 0])
    if is_closed:
        graph["1"]["inputs"]["image"] = [str(count - 1), 0]
        rejected = await validate.rejection(graph)
        assert "form a cycle" in rejected.error["details"]
        assert len(rejected.error["details"]) < 1000
    else:
        assert (await validate(graph)).outputs == ("end",)


async def test_the_work_grows_with_the_size_and_not_with_its_square(validate: Validator) -> None:
    def wide(count: int) -> Graph:
        """Many bad nodes behind many outputs, all linked to each other's neighbours."""
        graph = {str(i): node("Show", image=[f"x{i}", 0]) for i in range(count)}
        graph |= {f"x{i}": node("Invert", image=[f"x{i + 1}", 9]) for i in range(count)}
        return graph | {f"x{count}": node("Make")}

    async def work(count: int) -> int:
        """How many functions are called."""
        calls = 0

        def note(*_: Any) -> None:
            nonlocal calls
            calls += 1

        sys.setprofile(note)
        try:
            await validate.rejection(wide(count))
        finally:
            sys.setprofile(None)
        return calls

    assert 100 < await work(300) < 4 * await work(100)
