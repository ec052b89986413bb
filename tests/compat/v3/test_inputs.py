"""Dynamic inputs, checks and hidden values of V3 nodes: flat names in graphs, nested in methods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compat.v3.bench import V3Bench, graph_of
from tests.executor.worker.harness import node


async def test_a_growing_input_is_a_dictionary_in_the_order_of_its_template(
    bench: V3Bench,
) -> None:
    value = await bench.value("V3Merge", **{"items.item1": "b", "items.item0": "a"})
    assert list(value.items()) == [("item0", "a"), ("item1", "b")]


async def test_the_first_members_of_a_growing_input_are_required(bench: V3Bench) -> None:
    (error,) = await bench.errors(graph_of("V3Merge", **{"items.item0": 1}))
    assert error["type"] == "required_input_missing"
    assert error["details"] == "item1"
    assert error["extra_info"] == {"input_name": "items.item1"}


async def test_members_beyond_the_template_are_no_inputs(bench: V3Bench) -> None:
    inputs = {f"items.item{i}": i for i in (0, 1, 4, 5, 77)}
    assert await bench.value("V3Merge", **inputs) == {"item0": 0, "item1": 1, "item4": 4}


async def test_members_that_are_optional_may_all_be_absent(bench: V3Bench) -> None:
    assert await bench.value("V3Named") == {}
    assert await bench.value("V3Named", **{"weights.right": "2"}) == {"right": 2.0}


async def test_members_may_be_links(bench: V3Bench) -> None:
    graph = {
        "0": node("V3Gradient", width=8, height=8),
        "1": node("V3Merge", **{"items.item0": ["0", 0], "items.item1": 3}),
        "show": node("Show", value=["1", 0]),
    }
    result = await bench.run(graph)
    assert "tensor" in result.finished.outputs["show"]["text"][0]


async def test_a_choice_is_under_its_own_name_beside_what_it_opens(bench: V3Bench) -> None:
    value = await bench.value("V3Choice", **{"how": "size", "how.width": "7"})
    assert value == {"how": "size", "width": 7}
    assert await bench.value("V3Choice", how="nothing") == {"how": "nothing"}


async def test_choices_may_hold_choices_and_growing_inputs(bench: V3Bench) -> None:
    value = await bench.value(
        "V3Choice",
        **{"how": "nested", "how.inner": "text", "how.inner.s": 5, "how.more.m3": 1},
    )
    assert value == {
        "how": "nested",
        "inner": {"inner": "text", "s": "5"},
        "more": {"m3": 1},
    }


async def test_a_growing_input_without_members_is_an_empty_dictionary(bench: V3Bench) -> None:
    value = await bench.value(
        "V3Choice", **{"how": "nested", "how.inner": "text", "how.inner.s": ""}
    )
    assert value["more"] == {}


async def test_inputs_of_other_choices_are_not_passed(bench: V3Bench) -> None:
    value = await bench.value("V3Choice", **{"how": "nothing", "how.width": 7, "how.inner": "text"})
    assert value == {"how": "nothing"}


async def test_what_a_choice_opens_is_validated_under_its_dotted_name(bench: V3Bench) -> None:
    (error,) = await bench.errors(graph_of("V3Choice", how="size"))
    assert error["type"] == "required_input_missing"
    assert error["details"] == "width"
    assert error["extra_info"]["input_name"] == "how.width"
    (error,) = await bench.errors(graph_of("V3Choice", **{"how": "size", "how.width": 101}))
    assert error["type"] == "value_bigger_than_max"
    assert error["extra_info"]["input_name"] == "how.width"


async def test_an_unknown_choice_makes_the_input_disappear(bench: V3Bench) -> None:
    assert await bench.value("V3Choice", **{"how": "unheard of", "how.width": 7}) is None


async def test_a_choice_that_is_missing_is_an_error(bench: V3Bench) -> None:
    (error,) = await bench.errors(graph_of("V3Choice"))
    assert (error["type"], error["details"]) == ("required_input_missing", "how")


async def test_a_choice_may_come_from_another_node(bench: V3Bench) -> None:
    graph = {
        "0": node("Value", value="size"),
        "1": node("V3Choice", **{"how": ["0", 0], "how.width": 7}),
        "show": node("Show", value=["1", 0]),
    }
    result = await bench.run(graph)
    assert result.finished.outputs["show"]["text"] == ["{'how': 'size', 'width': 7}"]


async def test_lazy_inputs_that_a_choice_opens_are_asked_for_by_their_dotted_name(
    bench: V3Bench,
) -> None:
    def graph(width: int) -> dict[str, Any]:
        inputs = {"how": "size", "how.width": width, "how.extra": ["lazy", 0]}
        return {
            "lazy": node("Value", value=0.5),
            "1": node("V3Choice", **inputs),
            "show": node("Show", value=["1", 0]),
        }

    narrow = await bench.run(graph(7))
    assert "lazy" not in narrow.executing
    assert narrow.finished.outputs["show"]["text"] == ["{'how': 'size', 'width': 7, 'extra': None}"]
    wide = await bench.run(graph(70))
    assert wide.executing == ["1", "lazy", "1", "show"]
    assert wide.finished.outputs["show"]["text"] == ["{'how': 'size', 'width': 70, 'extra': 0.5}"]


async def test_a_slot_that_is_linked_opens_further_inputs(bench: V3Bench) -> None:
    graph = {
        "0": node("V3Checked", a=3),
        "1": node("V3Slot", **{"slot": ["0", 0], "slot.x": "4"}),
        "show": node("Show", value=["1", 0]),
    }
    result = await bench.run(graph)
    assert result.finished.outputs["show"]["text"] == ["{'slot': 3, 'x': 4}"]


async def test_a_slot_that_is_not_linked_opens_nothing(bench: V3Bench) -> None:
    assert await bench.value("V3Slot", **{"slot.x": 4}) is None


async def test_what_a_slot_opens_is_required_once_it_is_linked(bench: V3Bench) -> None:
    graph = {
        "0": node("V3Checked", a=3),
        "1": node("V3Slot", slot=["0", 0]),
        "show": node("Show", value=["1", 0]),
    }
    (error,) = await bench.errors(graph)
    assert error["extra_info"]["input_name"] == "slot.x"


async def test_a_slot_takes_only_its_types(bench: V3Bench) -> None:
    graph = {
        "0": node("V3Tone", seconds=0.1, rate=8000),
        "1": node("V3Slot", **{"slot": ["0", 0], "slot.x": 1}),
        "show": node("Show", value=["1", 0]),
    }
    (error,) = await bench.errors(graph)
    assert error["type"] == "return_type_mismatch"


async def test_rows_are_a_list_of_dictionaries_with_gaps_filled(bench: V3Bench) -> None:
    value = await bench.value(
        "V3Rows", **{"rows.0.name": "x", "rows.0.amount": "3", "rows.1.name": "y"}
    )
    assert value == [{"name": "x", "amount": 3}, {"name": "y", "amount": None}]


@pytest.mark.parametrize("key", ["rows.3.name", "rows.01.name", "rows.0.other", "rows.x.name"])
async def test_a_key_that_names_no_field_of_a_row_is_an_error(bench: V3Bench, key: str) -> None:
    errors = await bench.errors(graph_of("V3Rows", **{"rows.0.name": "x", key: "?"}))
    (error,) = [error for error in errors if error["type"] == "invalid_dynamic_input"]
    assert error["extra_info"] == {"input_name": key}


async def test_the_least_number_of_rows_is_required(bench: V3Bench) -> None:
    (error,) = await bench.errors(graph_of("V3Rows"))
    assert error["extra_info"] == {"input_name": "rows.0.name"}


async def test_a_matched_type_takes_any_link(bench: V3Bench) -> None:
    graph = {
        "0": node("V3Tone", seconds=0.1, rate=8000),
        "1": node("V3Switch", on=True, yes=["0", 0]),
        "show": node("Show", value=["1", 0]),
    }
    result = await bench.run(graph)
    assert "waveform" in result.finished.outputs["show"]["text"][0]


async def test_a_node_may_take_all_inputs_of_the_graph(bench: V3Bench) -> None:
    assert await bench.value("V3Everything", declared="1", a=2, b="x") == {
        "declared": 1,
        "a": 2,
        "b": "x",
    }


async def test_undeclared_literals_are_not_passed(bench: V3Bench) -> None:
    assert await bench.value("V3Checked", a=1, c=5) == 1


async def test_a_link_that_the_method_cannot_take_is_left_out(bench: V3Bench) -> None:
    graph = {
        "0": node("Value", value=1),
        "1": node("V3Checked", a=2, unknown=["0", 0]),
        "show": node("Show", value=["1", 0]),
    }
    result = await bench.run(graph)
    assert result.finished.outputs["show"]["text"] == ["2"]


async def test_values_are_converted_and_bounds_checked_as_for_older_nodes(bench: V3Bench) -> None:
    errors = await bench.errors(graph_of("V3Gradient", width="9", height=2))
    assert [error["type"] for error in errors] == ["value_smaller_than_min"]
    (error,) = await bench.errors(
        {
            "0": node("V3Gradient", width=8, height=8),
            "1": node("V3Blend", first=["0", 0], second=["0", 0], factor=0.5, mode="no"),
            "show": node("Show", value=["1", 0]),
        }
    )
    assert error["type"] == "value_not_in_list"


async def test_the_check_of_a_class_sees_the_node_it_checks(bench: V3Bench) -> None:
    (error,) = await bench.errors(graph_of("V3Checked", a=13))
    assert error["type"] == "custom_validation_failed"
    assert error["details"] == "a - node 1 does not like 13"


async def test_a_check_replaces_bounds_only_of_the_inputs_it_names(bench: V3Bench) -> None:
    assert await bench.value("V3Checked", a=7) == 7
    (error,) = await bench.errors(graph_of("V3Checked", a=7, b=7))
    assert error["extra_info"]["input_name"] == "b"


async def test_a_check_need_not_name_the_groups_of_its_node(bench: V3Bench) -> None:
    assert await bench.value("V3Weighed", weight=2) == (0, 2)
    assert await bench.value("V3Weighed", **{"weight": 2, "items.item3": 1}) == (1, 2)
    (error,) = await bench.errors(graph_of("V3Weighed", weight=0))
    assert error["details"] == "weight - too light"


async def test_a_check_that_takes_no_inputs_is_heard_too(bench: V3Bench) -> None:
    (error,) = await bench.errors(graph_of("V3Never", a=1))
    assert error["type"] == "custom_validation_failed"
    assert error["details"] == " - not today"
    assert error["extra_info"] == {"input_name": ""}


async def test_choices_that_clients_fetch_are_not_checked(bench: V3Bench) -> None:
    inputs = {"flag": 1, "seed": 3, "amount": 1, "text": "t", "flavour": "sweet"}
    value = await bench.value("V3Widgets", **inputs, remote="far", fetched="away")
    assert (value["remote"], value["fetched"]) == ("far", "away")


async def test_a_check_gets_dynamic_inputs_nested(bench: V3Bench) -> None:
    inputs = {"how": "size", "how.width": "4"}
    assert await bench.value("V3CheckedChoice", **inputs) == 4
    errors = await bench.errors(graph_of("V3CheckedChoice", **(inputs | {"how.width": 5})))
    assert errors[0]["details"].endswith(" - the width must be even")


async def test_hidden_values_are_read_from_the_class(bench: V3Bench) -> None:
    more = {
        "extra_data": {"extra_pnginfo": {"workflow": {}}, "comfy_usage_source": "a test"},
        "secrets": {"AUTH_TOKEN_COMFY_ORG": "t", "API_KEY_COMFY_ORG": "k"},
    }
    assert await bench.value("V3Who", more, note="hi") == {
        "note": "hi",
        "id": "1",
        "nodes": ["1", "show"],
        "extra": {"workflow": {}},
        "parent": None,
        "token": "t",
        "key": "k",
        "source": "a test",
        "not_asked_for": None,
    }


async def test_a_node_that_asks_for_its_id_shares_no_result(bench: V3Bench) -> None:
    graph = {
        "a": node("V3Who", note="x"),
        "b": node("V3Who", note="x"),
        "show a": node("Show", value=["a", 0]),
        "show b": node("Show", value=["b", 0]),
    }
    result = await bench.run(graph)
    assert {"a", "b"} <= set(result.executing)


async def test_raw_links_are_passed_as_they_are(bench: V3Bench) -> None:
    graph = {
        "0": node("Value", value=1),
        "1": node(
            "V3Widgets",
            flag=1,
            seed="3",
            amount=1,
            text="t",
            flavour="sweet",
            model=["0", 0],
            tags={"__value__": ["b"]},
        ),
        "show": node("Show", value=["1", 0]),
    }
    result = await bench.run(graph)
    (text,) = result.finished.outputs["show"]["text"]
    value = eval(text)
    assert value["model"] == ["0", 0]
    assert value["tags"] == ["b"]
    assert (value["flag"], value["seed"], value["flavour"]) == (True, 3, "sweet")
