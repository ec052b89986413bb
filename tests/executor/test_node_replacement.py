"""Nodes of classes that are gone are replaced by what took their place."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from executor.node_replacement import (
    BUILT_IN,
    FixedValue,
    FromInput,
    OutputMapping,
    Replacement,
    Replacements,
)

SWAP = Replacement(
    old_node_id="Old",
    new_node_id="New",
    input_mapping=[
        FromInput(new_id="group.a", old_id="a"),
        FixedValue(new_id="mode", set_value="x"),
        FromInput(new_id="b", old_id="absent"),
    ],
    output_mapping=[OutputMapping(new_idx=1, old_idx=0), OutputMapping(new_idx=0, old_idx=1)],
)
REGISTERED = {"New", "Other"}


def node(class_type: Any, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def applied(prompt: Any, *entries: Replacement, registered: set[str] = REGISTERED) -> Any:
    before = copy.deepcopy(prompt)
    result = Replacements(entries or [SWAP]).apply(prompt, registered)
    assert prompt == before
    return result


def test_class_and_inputs_are_replaced_and_the_rest_stays() -> None:
    old = {"_meta": {"title": "t"}, **node("Old", a=["2", 0], left_out=3), "is_changed": 1}
    assert applied({"1": old, "2": node("Other")})["1"] == {
        "_meta": {"title": "t"},
        "class_type": "New",
        "inputs": {"group.a": ["2", 0], "mode": "x"},
        "is_changed": 1,
    }


def test_links_to_the_outputs_follow() -> None:
    prompt = {"1": node("Old"), "2": node("Other", x=["1", 0], y=["1", 1], z=["1", 7], w=["3", 0])}
    assert applied(prompt)["2"]["inputs"] == {
        "x": ["1", 1],
        "y": ["1", 0],
        "z": ["1", 7],
        "w": ["3", 0],
    }


def test_links_between_replaced_nodes_follow_too() -> None:
    prompt = {"1": node("Old"), "2": node("Old", a=["1", 0])}
    assert applied(prompt)["2"]["inputs"]["group.a"] == ["1", 1]


def test_what_only_looks_like_a_link_stays() -> None:
    values = {"a": ["1", True], "b": ["1", 0, 0], "c": [1, 0], "d": {"__value__": ["1", 0]}}
    assert applied({"1": node("Old"), "2": node("Other", **values)})["2"]["inputs"] == values


def test_without_a_mapping_inputs_keep_their_names_and_outputs_their_numbers() -> None:
    plain = Replacement(old_node_id="Old", new_node_id="New")
    prompt = {"1": node("Old", a=1), "2": node("Other", x=["1", 1])}
    assert applied(prompt, plain) == {"1": node("New", a=1), "2": node("Other", x=["1", 1])}


@pytest.mark.parametrize("registered", [{"Old", "New"}, {"Other"}])
def test_a_registered_class_or_one_without_a_successor_stays(registered: set[str]) -> None:
    prompt = {"1": node("Old", a=1)}
    assert applied(prompt, registered=registered) is prompt


def test_only_the_first_entry_of_a_class_counts() -> None:
    second = Replacement(old_node_id="Old", new_node_id="Other")
    assert applied({"1": node("Old")}, second, SWAP)["1"]["class_type"] == "Other"
    prompt = {"1": node("Old")}
    assert applied(prompt, SWAP, second, registered={"Other"}) is prompt


def test_the_same_pair_is_registered_once() -> None:
    replacements = Replacements([SWAP])
    assert not replacements.register(Replacement(old_node_id="Old", new_node_id="New"))
    assert replacements.register(Replacement(old_node_id="Old", new_node_id="Other"))
    assert [entry.new_node_id for entry in replacements.table["Old"]] == ["New", "Other"]
    assert replacements.table["Old"][0] is SWAP


@pytest.mark.parametrize(
    "prompt",
    [
        *(
            None,
            [],
            "text",
            {"1": None},
            {"1": []},
            {"1": {}},
            {"1": node(3)},
            {"1": node(["Old"])},
        ),
        {"1": {"class_type": None, "inputs": {}}},
    ],
)
def test_a_malformed_graph_is_left_to_validation(prompt: Any) -> None:
    assert applied(prompt) is prompt


def test_malformed_inputs_stay_as_they_are() -> None:
    prompt = {"1": {"class_type": "Old", "inputs": [1]}, "2": {"class_type": "Other"}, "3": 4}
    assert applied(prompt) == prompt | {"1": {"class_type": "New", "inputs": [1]}}


def test_the_built_in_entries_have_the_documented_form() -> None:
    table = msgspec.json.decode(msgspec.json.encode(Replacements().table))
    assert table["ResizeImagesByLongerEdge"] == [
        {
            "new_node_id": "ImageScaleToMaxDimension",
            "old_node_id": "ResizeImagesByLongerEdge",
            "old_widget_ids": ["longer_edge"],
            "input_mapping": [
                {"new_id": "image", "old_id": "images"},
                {"new_id": "largest_size", "old_id": "longer_edge"},
                {"new_id": "upscale_method", "set_value": "lanczos"},
            ],
            "output_mapping": [{"new_idx": 0, "old_idx": 0}],
        }
    ]
    assert table["ConditioningAverage "] == [
        {
            "new_node_id": "ConditioningAverage",
            "old_node_id": "ConditioningAverage ",
            "old_widget_ids": None,
            "input_mapping": None,
            "output_mapping": None,
        }
    ]
    assert list(table) == [
        *("ResizeImagesByLongerEdge", "ImageBatch", "ImageScaleBy", "T2IAdapterLoader"),
        *("Load3DAnimation", "Preview3DAnimation", "SDV_img2vid_Conditioning"),
        "ConditioningAverage ",
    ]
    assert len(table) == len(BUILT_IN)
