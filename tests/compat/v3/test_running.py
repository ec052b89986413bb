"""V3 nodes run: what they return, show, report and add."""

from __future__ import annotations

import io as bytes_io
from typing import Any

import pytest
from PIL import Image

from executor.worker.errors import ResultError
from tests.compat.v3.bench import V3Bench, graph_of, previews
from tests.executor.worker.harness import node


def both(how: str) -> dict[str, Any]:
    """A node that returns in some way, and one output node for each of its outputs."""
    return {
        "1": node("V3Return", how=how),
        "a": node("Show", value=["1", 0]),
        "b": node("Show", value=["1", 1]),
    }


@pytest.mark.parametrize("how", ["output", "tuple", "dict", "ui"])
async def test_values_are_returned_in_several_ways(bench: V3Bench, how: str) -> None:
    outputs = (await bench.run(both(how))).finished.outputs
    assert outputs["a"]["text"] == ["1"]
    assert outputs["b"]["text"] == ["2"]
    assert (outputs.get("1") == {"text": ["shown"]}) is (how in ("dict", "ui"))


async def test_none_is_no_outputs(bench: V3Bench) -> None:
    outputs = (await bench.run(both("none"))).finished.outputs
    assert outputs["a"]["text"] == ["None"]


@pytest.mark.parametrize("how", ["blocker", "block"])
async def test_a_blocker_stops_what_would_take_the_values(bench: V3Bench, how: str) -> None:
    result = await bench.run(both(how))
    assert result.finished.succeeded
    assert result.finished.outputs == {}
    errors = result.of("execution_error")
    assert [error["exception_type"] for error in errors] == ["ExecutionBlocked"] * 2
    assert "stop here" in errors[0]["exception_message"]


async def test_what_is_no_result_fails_the_prompt_and_names_the_node(bench: V3Bench) -> None:
    error = (await bench.run(both("number"))).error
    assert error["node_id"] == "1"
    assert error["exception_type"] == ResultError.wire_name
    assert "V3Return returned int" in error["exception_message"]


async def test_expansion_needs_to_be_announced(bench: V3Bench) -> None:
    error = (await bench.run(graph_of("V3Sneaky"))).error
    assert "enable_expand" in error["exception_message"]


async def test_an_expansion_runs_the_nodes_it_adds(bench: V3Bench) -> None:
    graph = {
        "0": node("V3Gradient", width=8, height=8),
        "1": node("V3Repeat", image=["0", 0], times=3),
        "show": node("V3Show", value=["1", 0], kind="image"),
    }
    result = await bench.run(graph)
    assert [x for x in result.executing if x.startswith("1.")] == [
        "1.0.0.1",
        "1.0.0.2",
        "1.0.0.3",
    ]
    (entry,) = result.finished.outputs["show"]["images"]
    picture = Image.open(bytes_io.BytesIO((bench.folders.temp / entry["filename"]).read_bytes()))
    assert picture.getpixel((0, 0)) == (255, 255, 255)


async def test_state_cannot_be_kept_on_a_class(bench: V3Bench) -> None:
    error = (await bench.run(graph_of("V3Forgetful"))).error
    assert error["exception_type"] == "AttributeError"
    assert "nodes keep no state" in error["exception_message"]


async def test_only_the_lazy_input_that_is_asked_for_is_made(bench: V3Bench) -> None:
    graph = {
        "yes": node("Value", value="y"),
        "no": node("Value", value="n"),
        "1": node("V3Switch", on=False, yes=["yes", 0], no=["no", 0]),
        "show": node("Show", value=["1", 0]),
    }
    result = await bench.run(graph)
    assert result.executing == ["1", "no", "1", "show"]
    assert result.finished.outputs["show"]["text"] == ["n"]


async def test_async_nodes_run_side_by_side_each_with_its_own_hidden_values(
    bench: V3Bench,
) -> None:
    graph = {
        "a": node("V3Slow", value=1, steps=3),
        "b": node("V3Slow", value=2, steps=3),
        "show": node("Join", a=["a", 0], b=["b", 0]),
        "out": node("Show", value=["show", 0]),
    }
    result = await bench.run(graph)
    calls = bench.part("flow").calls
    assert set(calls[:2]) == {("start", "a"), ("start", "b")}
    assert set(calls[2:]) == {("end", "a"), ("end", "b")}
    assert result.finished.outputs["out"]["text"] == ["{'a': 1, 'b': 2}"]


async def test_progress_with_a_picture_reaches_clients_unshrunk_if_asked(bench: V3Bench) -> None:
    result = await bench.run(graph_of("V3Slow", value=1, steps=4))
    last = result.of("progress")[-1]
    assert (last["value"], last["max"], last["node"]) == (4, 4, "1")
    assert result.of("progress_state")[-1]["nodes"]["1"]["max"] == 4
    sizes = {Image.open(bytes_io.BytesIO(preview.image)).size for preview in previews(result)}
    assert sizes == {(600, 300)}
    assert previews(result)[0].metadata["node_id"] == "1"


async def test_progress_without_async(bench: V3Bench) -> None:
    result = await bench.run(graph_of("V3Steps", value=1))
    assert result.of("progress") == [{"value": 2, "max": 4, "prompt_id": "p", "node": "1"}]


async def test_a_node_with_intermediate_output_shows_it_again_when_it_is_cached(
    bench: V3Bench,
) -> None:
    graph = {
        "1": node("V3Gradient", width=16, height=16),
        "2": node("V3Crop", image=["1", 0], size=4),
        "3": node("Show", value=["2", 0]),
    }
    first = await bench.run(graph)
    again = await bench.run(graph)
    assert "2" not in again.executing
    assert again.finished.outputs["2"] == first.finished.outputs["2"]
    assert [body["node"] for body in again.of("executed")] == ["3", "2"]
    assert again.types[-1] == "execution_success"
    assert bench.info("V3Crop")["has_intermediate_output"] is True


async def test_a_node_with_intermediate_output_starts_no_run(bench: V3Bench) -> None:
    graph = {
        "1": node("V3Gradient", width=16, height=16),
        "2": node("V3Crop", image=["1", 0], size=4),
        "3": node("Show", value=["1", 0]),
    }
    result = await bench.run(graph)
    assert "2" not in result.executing


async def test_whole_lists_are_taken_and_given(bench: V3Bench) -> None:
    graph = {
        "1": node("V3List", values=5, copies=3),
        "each": node("Show", value=["1", 0]),
        "count": node("Show", value=["1", 1]),
    }
    outputs = (await bench.run(graph)).finished.outputs
    assert outputs["each"]["text"] == ["5", "5", "5"]
    assert outputs["count"]["text"] == ["3"]


async def test_calls_are_mapped_over_lists(bench: V3Bench) -> None:
    graph = {
        "list": node("V3List", values=1, copies=2),
        "1": node("V3Merge", **{"items.item0": ["list", 0], "items.item1": 9}),
        "show": node("Show", value=["1", 0]),
    }
    outputs = (await bench.run(graph)).finished.outputs
    assert outputs["show"]["text"] == ["{'item0': 1, 'item1': 9}"] * 2


async def test_a_fingerprint_decides_whether_a_node_runs_again(bench: V3Bench) -> None:
    async def run() -> list[str]:
        graph = graph_of("V3Stamp", value=1, other=2)
        return (await bench.run(graph)).executing

    values = bench.part("values")
    assert "1" in await run()
    assert values.fingerprints == [("1", 1, 2)]
    assert "1" not in await run()
    values.V3Stamp.stamp[0] = 1
    assert "1" in await run()


async def test_linked_inputs_are_none_in_a_fingerprint(bench: V3Bench) -> None:
    graph = {
        "0": node("V3Checked", a=3),
        "1": node("V3Stamp", value=["0", 0]),
        "show": node("Show", value=["1", 0]),
    }
    await bench.run(graph)
    assert bench.part("values").fingerprints == [("1", None, None)]


async def test_nodes_that_are_not_idempotent_share_no_result(bench: V3Bench) -> None:
    graph = {
        "a": node("V3Return", how="tuple"),
        "b": node("V3Return", how="tuple"),
        "show a": node("Show", value=["a", 0]),
        "show b": node("Show", value=["b", 0]),
    }
    await bench.run(graph)
    assert len(bench.part("flow").calls) == 2


async def test_a_node_replaces_an_older_class_that_its_pack_names(bench: V3Bench) -> None:
    (entry,) = bench.definitions["V3Blend"].replaces
    assert entry["old_node_id"] == "V2Blend"
    assert {"new_id": "first", "old_id": "a"} in entry["input_mapping"]
    assert {"new_id": "mode", "set_value": "normal"} in entry["input_mapping"]
