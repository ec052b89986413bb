"""Loops: what lies between a StartLoop and its EndLoop runs once an iteration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from executor.messages import NodeText
from nodes.loops import EndLoop, LoopIteration, LoopProgress, LoopResult, StartLoop
from tests.executor.worker.harness import Result, Value, node
from tests.semantics.system import Graph, System

LOOPS = {x.__name__: x for x in (StartLoop, EndLoop, LoopProgress, LoopIteration, LoopResult)}


class Add(Value):
    """Adds two numbers, and says so."""

    calls: ClassVar[list[tuple[Any, Any]]] = []

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Any values."""
        return {"required": {"a": ("*",), "b": ("*",)}}

    def run(self, a: Any, b: Any) -> tuple[Any]:  # type: ignore[override]
        """The sum."""
        self.calls.append((a, b))
        return (a + b,)


class Pass(Value):
    """An output that passes its value on."""

    OUTPUT_NODE = True

    def run(self, value: Any) -> Any:
        """Both."""
        return {"ui": {"text": [str(value)]}, "result": (value,)}


class Gather(Value):
    """Makes one list of its input's values."""

    INPUT_IS_LIST = True


class Spread(Value):
    """Makes values of a list."""

    OUTPUT_IS_LIST = (True,)

    def run(self, value: Any) -> tuple[Any]:
        """The items."""
        return (value,)


@pytest.fixture
def system(tmp_path: Path) -> System:
    Add.calls.clear()
    classes: dict[str, Any] = {"Add": Add, "Pass": Pass, "Gather": Gather, "Spread": Spread}
    return System(tmp_path, **LOOPS, **classes)


def looped(start: dict[str, Any], end: dict[str, Any], **body: Any) -> Graph:
    """A graph that shows what a loop gives, as one list."""
    return {
        "start": node("StartLoop", **start),
        **body,
        "end": node("EndLoop", **end),
        "gather": node("Gather", value=["end", 0]),
        "out": node("Show", value=["gather", 0]),
    }


def simple(count: Any) -> dict[str, Any]:
    return {"mode": "simple", "mode.num_iterations": count}


async def run(system: System, graph: Graph) -> tuple[str, Result]:
    """What the node "out" shows, and all else."""
    result = await system.run(graph)
    assert result.finished.succeeded, result.finished.messages[-1]
    return result.finished.outputs["out"]["text"][0], result


INDEX, FIRST, LAST, ITEM, CARRIED = (["start", index] for index in range(5))
SUM = {"add": node("Add", a=INDEX, b=10)}


async def test_a_loop_gives_what_its_last_iteration_gave(system: System) -> None:
    shown, _ = await run(system, looped(simple(3), {"output_value": ["add", 0]}, **SUM))
    assert shown == "[12]"
    assert Add.calls == [(0, 10), (1, 10), (2, 10)]


async def test_a_loop_gives_what_all_iterations_gave(system: System) -> None:
    end = {"output_value": ["add", 0], "accumulate": True}
    shown, _ = await run(system, looped(simple(3), end, **SUM))
    assert shown == "[10, 11, 12]"


@pytest.mark.parametrize(
    ("start", "shown"),
    [
        (simple(0), "[]"),
        (
            {
                "mode": "For",
                "mode.start_iteration_index": 3,
                "mode.max_iteration": 9,
                "mode.step": 4,
            },
            "[3, 7]",
        ),
        (
            {
                "mode": "For",
                "mode.start_iteration_index": 9,
                "mode.max_iteration": 3,
                "mode.step": 1,
            },
            "[]",
        ),
    ],
)
async def test_the_index_follows_the_mode(
    system: System, start: dict[str, Any], shown: str
) -> None:
    end = {"output_value": INDEX, "accumulate": True}
    assert (await run(system, looped(start, end)))[0] == shown


@pytest.mark.parametrize("output", ["spread", "value"])
async def test_a_list_gives_an_item_an_iteration(system: System, output: str) -> None:
    body = {
        "value": node("Value", value={"__value__": ["a", "b"]}),
        "spread": node("Spread", value=["value", 0]),
        "add": node("Add", a=ITEM, b="!"),
    }
    start = {"mode": "List", "mode.list": [output, 0]}
    end = {"output_value": ["add", 0], "accumulate": True}
    assert (await run(system, looped(start, end, **body)))[0] == "['a!', 'b!']"


async def test_first_and_last_iteration_are_known(system: System) -> None:
    for output, shown in ((FIRST, "[True, False, False]"), (LAST, "[False, False, True]")):
        end = {"output_value": output, "accumulate": True}
        assert (await run(system, looped(simple(3), end)))[0] == shown


async def test_a_value_is_carried_from_iteration_to_iteration(system: System) -> None:
    body = {"add": node("Add", a=CARRIED, b=INDEX)}
    end = {"output_value": ["add", 0], "next_iteration_value": ["add", 0]}
    start = simple(4) | {"initial_iteration_value": 100}
    assert (await run(system, looped(start, end, **body)))[0] == "[106]"


async def test_a_list_is_carried_as_a_list(system: System) -> None:
    body = {
        "value": node("Value", value={"__value__": [1, 2]}),
        "spread": node("Spread", value=["value", 0]),
        "add": node("Add", a=CARRIED, b=10),
    }
    end = {"output_value": ["add", 0], "next_iteration_value": ["add", 0]}
    start = simple(2) | {"initial_iteration_value": ["spread", 0]}
    assert (await run(system, looped(start, end, **body)))[0] == "[21, 22]"


async def test_the_number_of_iterations_may_be_another_node_s_work(system: System) -> None:
    body = {"count": node("Value", value=2), **SUM}
    end = {"output_value": ["add", 0], "accumulate": True}
    assert (await run(system, looped(simple(["count", 0]), end, **body)))[0] == "[10, 11]"


async def test_outputs_in_a_loop_run_once_an_iteration_and_in_order(system: System) -> None:
    body = SUM | {"save": node("Pass", value=["add", 0])}
    end = {"terminations.termination0": ["save", 0], "output_value": INDEX}
    shown, result = await run(system, looped(simple(2), end, **body))
    assert shown == "[1]"
    texts = [x["output"]["text"] for x in result.of("executed") if x["display_node"] == "save"]
    assert texts == [["10"], ["11"]]
    order = [x["display_node"] for x in result.of("executing") if x["node"].startswith("end.")]
    assert order.count("save") == order.count("add") == 2
    assert order.index("save") < len(order) - 1 - order[::-1].index("add")


async def test_an_iteration_begins_when_the_last_one_is_done(system: System) -> None:
    body = {"a": node("Add", a=INDEX, b=0), "b": node("Add", a=INDEX, b=100)}
    end = {"output_value": ["a", 0], "terminations.termination0": ["b", 0]}
    await run(system, looped(simple(2), end, **body))
    assert sorted(Add.calls[:2]) == [(0, 0), (0, 100)]
    assert sorted(Add.calls[2:]) == [(1, 0), (1, 100)]


async def test_the_start_shows_how_far_the_loop_is(system: System) -> None:
    _, result = await run(system, looped(simple(2), {"output_value": ["add", 0]}, **SUM))
    texts = [x for x in result.events if isinstance(x, NodeText)]
    assert [(x.node_id, x.text) for x in texts] == [("start", "0/2"), ("start", "1/2")]


def nested(*, linked: bool = True) -> Graph:
    """Two loops, one in the other: 10 times the outer index plus the inner one."""
    inner = simple(2) | ({"parent_iteration": INDEX} if linked else {})
    body = {
        "inner": node("StartLoop", **inner),
        "tens": node("Add", a=INDEX, b=INDEX),
        "add": node("Add", a=["tens", 0], b=["inner", 0]),
        "inner_end": node("EndLoop", output_value=["add", 0], accumulate=True),
    }
    return looped(simple(3), {"output_value": ["inner_end", 0], "accumulate": True}, **body)


async def test_loops_nest(system: System) -> None:
    assert (await run(system, nested()))[0] == "[0, 1, 2, 3, 4, 5]"


async def test_a_loop_runs_again_with_every_prompt(system: System) -> None:
    graph = looped(simple(2), {"output_value": ["add", 0]}, **SUM)
    await run(system, graph)
    await run(system, graph)
    assert len(Add.calls) == 4


async def test_an_interrupt_ends_a_loop_which_may_run_again(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = looped(simple(5), {"output_value": ["add", 0]}, **SUM)
    plain = Add.run

    def interrupting(self: Add, a: Any, b: Any) -> tuple[Any]:
        if a == 2:
            system.bench.engine.interrupt("p")
        return plain(self, a, b)

    with monkeypatch.context() as patch:
        patch.setattr(Add, "run", interrupting)
        finished = (await system.run(graph)).finished
    assert finished.interrupted
    assert [a for a, _ in Add.calls] == [0, 1, 2]
    assert (await run(system, graph))[0] == "[14]"


async def test_iterations_that_are_cached_run_where_something_is_new(system: System) -> None:
    def graph(count: int) -> Graph:
        start = simple(count) | {"cache_iterations": True}
        end = {"output_value": ["add", 0], "accumulate": True}
        return looped(start, end, **SUM)

    await run(system, graph(2))
    await run(system, graph(2))
    assert len(Add.calls) == 2
    shown, _ = await run(system, graph(3))
    assert shown == "[10, 11, 12]"
    # The first is as it was; the second is not the last any more.
    assert Add.calls[2:] == [(1, 10), (2, 10)]


async def test_cached_iterations_run_again_where_the_loop_has_changed(system: System) -> None:
    start = simple(2) | {"cache_iterations": True}
    for added, shown in ((10, "[11]"), (20, "[21]")):
        body = {"add": node("Add", a=INDEX, b=added)}
        assert (await run(system, looped(start, {"output_value": ["add", 0]}, **body)))[0] == shown


async def test_too_many_iterations_are_refused(system: System) -> None:
    result = await system.run(looped(simple(10_001), {"output_value": ["add", 0]}, **SUM))
    assert "10,000 times at most" in result.error["exception_message"]


async def test_a_step_of_nothing_is_refused(system: System) -> None:
    body = {"zero": node("Value", value=0), **SUM}
    start = {"mode": "For", "mode.start_iteration_index": 0, "mode.max_iteration": 3}
    start["mode.step"] = ["zero", 0]
    result = await system.run(looped(start, {"output_value": ["add", 0]}, **body))
    assert "a step other than 0" in result.error["exception_message"]


def _no_start(graph: Graph) -> None:
    graph["start"] = node("Value", value=1)
    graph["add"]["inputs"]["a"] = ["start", 0]


def _no_end(graph: Graph) -> None:
    graph["end"] = node("Value", value=["add", 0])


def _escape(graph: Graph) -> None:
    graph["other"] = node("Show", value=["add", 0])


def _accumulate(graph: Graph) -> None:
    graph["end"]["inputs"]["accumulate"] = ["start", 1]


@pytest.mark.parametrize(
    ("change", "kind", "where"),
    [
        (_no_start, "loop_end_without_start", "end"),
        (_no_end, "loop_start_without_end", "start"),
        (_escape, "loop_escape", "start"),
        (_accumulate, "loop_accumulate_from_body", "end"),
    ],
)
async def test_a_loop_that_is_not_whole_is_refused(
    system: System, change: Callable[[Graph], None], kind: str, where: str
) -> None:
    graph = looped(simple(2), {"output_value": ["add", 0]}, **SUM)
    change(graph)
    errors = await system.errors(graph)
    [error] = [x for x in errors[where] if x["type"] == "custom_validation_failed"]
    about = error["extra_info"]
    assert (about["input_name"], about["loop_error_type"]) == ("loop boundary", kind)
    assert about["node_ids"][0] == where


async def test_an_end_of_two_loops_side_by_side_is_refused(system: System) -> None:
    errors = await system.errors(nested(linked=False))
    kinds = {x["extra_info"].get("loop_error_type") for found in errors.values() for x in found}
    assert "ambiguous_loop_nesting" in kinds


async def test_a_graph_of_very_many_loops_is_refused(system: System) -> None:
    graph = looped(simple(2), {"output_value": ["add", 0]}, **SUM)
    for index in range(201):
        before = ["end", 0] if index == 0 else [f"end{index - 1}", 0]
        graph[f"start{index}"] = node("StartLoop", **simple(1), initial_iteration_value=before)
        graph[f"end{index}"] = node("EndLoop", output_value=[f"start{index}", 4])
    graph["out"]["inputs"]["value"] = ["end200", 0]
    errors = await system.errors(graph)
    assert any("200 loops" in x["details"] for found in errors.values() for x in found)
