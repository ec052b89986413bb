"""How a graph is run: lazy inputs, expansions, async nodes, interruptions, node objects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from executor.worker.cache import LruCache, NoCache
from executor.worker.contract import NodeClass
from nodes.context import current_context
from tests.executor.worker.harness import ANY, BASIC, Bench, Result, Show, Value, node

LAZY = ("*", {"lazy": True})


class Numbers(Value):
    """Gives the numbers below its value."""

    OUTPUT_IS_LIST = (True,)

    def run(self, value: Any) -> tuple[Any]:
        """As a list output."""
        return (list(range(value)),)


class Lazy(Value):
    """Has three lazy inputs; each test says what is asked for."""

    ask: Callable[..., Any]

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """One that is not lazy, too."""
        return {"required": {"first": ANY}, "optional": {"a": LAZY, "b": LAZY, "c": LAZY}}

    def check_lazy_status(self, **inputs: Any) -> Any:
        """What the test says."""
        return type(self).ask(**inputs)

    def run(self, **inputs: Any) -> tuple[Any]:  # type: ignore[override]
        """All of them."""
        return (inputs,)


def run_lazy(ask: Callable[..., Any], first: Any = 0, **inputs: Any) -> Result:
    """The run of a node with lazy inputs from nodes a, b and c, or as given."""
    kind = type("Lazy", (Lazy,), {"ask": staticmethod(ask)})
    graph = {
        "n": node("Numbers", value=3),
        "a": node("Value", value=1),
        "b": node("Value", value=2),
        "c": node("Value", value=3),
        "lazy": node("Lazy", first=first, a=["a", 0], b=["b", 0], c=["c", 0]),
        "out": node("Show", value=["lazy", 0]),
    }
    graph["lazy"]["inputs"] |= inputs
    return Bench(BASIC | {"Lazy": kind, "Numbers": Numbers}).run(graph)


def test_lazy_inputs_are_asked_for_until_nothing_new_is_wanted() -> None:
    seen: list[Any] = []

    def ask(first: Any, **lazy: Any) -> list[str]:
        seen.append(lazy)
        return ["b"] if lazy["b"] is None else ["b", "a"]

    result = run_lazy(ask)
    assert seen == [
        {"a": None, "b": None, "c": None},
        {"a": None, "b": 2, "c": None},
        {"a": 1, "b": 2, "c": None},
    ]
    assert result.executing == ["lazy", "b", "lazy", "a", "lazy", "out"]
    assert "'c': None" in result.finished.outputs["out"]["text"][0]


def test_names_of_literals_and_what_is_no_name_are_passed_over() -> None:
    result = run_lazy(lambda **inputs: ["a", "first", None, 5], a="literal")
    assert result.executing == ["lazy", "out"]
    assert "'a': 'literal'" in result.finished.outputs["out"]["text"][0]


def test_a_check_is_mapped_over_lists_and_its_answers_are_joined() -> None:
    asked: list[Any] = []

    def ask(first: Any, **lazy: Any) -> list[str]:
        asked.append(first)
        return {0: ["a"], 1: [], 2: ["c"]}[first]

    result = run_lazy(ask, first=["n", 0])
    assert asked == [0, 1, 2, 0, 1, 2]
    assert set(result.executing) == {"n", "lazy", "a", "c", "out"}


def test_a_lazy_input_with_a_result_is_known_from_the_start() -> None:
    seen: list[Any] = []

    def ask(first: Any, a: Any, b: Any, c: Any) -> list[str]:
        seen.append((first, a, b, c))
        return []

    run_lazy(ask, first=["a", 0])
    assert seen == [(1, 1, None, None)]


def test_a_check_is_also_called_when_nothing_is_missing() -> None:
    seen: list[Any] = []
    run_lazy(lambda **inputs: seen.append(inputs), a=1, b=2, c=3)
    assert seen == [{"first": 0, "a": 1, "b": 2, "c": 3}]


def test_lazy_inputs_work_without_a_cache() -> None:
    kind = type("Lazy", (Lazy,), {"ask": staticmethod(lambda **inputs: ["a", "b"])})
    graph = {
        "a": node("Value", value=1),
        "lazy": node("Lazy", first=["a", 0], a=["a", 0], b=["b", 0]),
        "b": node("Value", value=2),
        "out": node("Show", value=["lazy", 0]),
    }
    result = Bench(BASIC | {"Lazy": kind}, cache=NoCache()).run(graph)
    assert result.executing == ["a", "lazy", "b", "lazy", "out"]


def expand(added: dict[str, Any], *result: Any, **classes: NodeClass) -> Result:
    """The run of a node that expands like this, beside a node "other"."""

    class Expands(Value):
        RETURN_TYPES = ("*", "*")

        def run(self, value: Any) -> Any:
            return {"expand": added, "result": result}

    graph = {
        "other": node("Value", value="other"),
        "1": node("Expands", value=0),
        "2": node("Join", a=["1", 0], b=["1", 1]),
        "3": node("Show", value=["2", 0]),
    }
    return Bench(BASIC | {"Expands": Expands} | classes).run(graph)


def test_added_nodes_may_link_to_submitted_ones() -> None:
    result = expand({"x": node("Value", value=["other", 0])}, ["x", 0], ["other", 0])
    assert result.finished.outputs == {"3": {"text": ["{'a': 'other', 'b': 'other'}"]}}
    assert result.executing == ["1", "other", "x", "2", "3"]


def test_links_and_plain_values_mix_in_the_result_of_an_expansion() -> None:
    result = expand({"x": node("Value", value=5)}, "plain", ["x", 0])
    assert result.finished.outputs == {"3": {"text": ["{'a': 'plain', 'b': 5}"]}}


def test_added_nodes_that_no_result_needs_do_not_run() -> None:
    result = expand({"x": node("Value", value=5), "y": node("Fail", value=1)}, ["x", 0], 1)
    assert result.executing == ["1", "x", "2", "3"]


def test_an_error_in_an_added_node_is_told_of_the_submitted_one() -> None:
    error = expand({"x": node("Fail", value=1)}, ["x", 0], 1).error
    assert (error["node_id"], error["node_type"]) == ("1", "Expands")
    assert error["current_inputs"] == {"value": [1]}


def test_a_link_of_a_result_to_the_node_itself_is_a_cycle() -> None:
    error = expand({}, ["1", 0], 1).error
    assert error["exception_type"] == "graph.DependencyCycleError"
    assert error["node_id"] == "1"
    assert "1 -> 1" in error["exception_message"]


def test_display_ids_are_followed_to_a_submitted_node() -> None:
    class Inner(Value):
        def run(self, value: Any) -> Any:
            shown = node("Value", value=value) | {"override_display_id": "x"}
            return {
                "expand": {"y": shown, "z": node("Value", value=["y", 0])},
                "result": (["z", 0],),
            }

    inner = node("Inner", value=1) | {"override_display_id": "3"}
    result = expand({"x": inner}, ["x", 0], 1, Inner=Inner)
    shown = {body["node"]: body["display_node"] for body in result.of("executing")}
    assert shown == {"1": "1", "x": "3", "y": "3", "z": "3", "2": "2", "3": "3"}
    states = result.of("progress_state")[-1]["nodes"]
    assert {key: state["real_node_id"] for key, state in states.items()} == {
        "1": "1", "x": "1", "y": "1", "z": "1", "2": "2", "3": "3",
    }  # fmt: skip
    assert states["y"]["parent_node_id"] == "x"


def test_display_ids_that_name_each_other_lead_to_the_node_that_added_them() -> None:
    added = {
        "x": node("Value", value=1) | {"override_display_id": "y"},
        "y": node("Value", value=2) | {"override_display_id": "x"},
    }
    result = expand(added, ["x", 0], ["y", 0])
    assert {body["display_node"] for body in result.of("executing")} == {"1", "2", "3"}


def test_mapped_expansions_may_give_results_of_different_lengths() -> None:
    class Uneven(Value):
        RETURN_TYPES = ("*", "*")

        def run(self, value: Any) -> Any:
            if value == 1:
                return ("direct",)
            name = f"x{value}"
            return {"expand": {name: node("Value", value=value)}, "result": ([name, 0], value)}

    graph = {
        "n": node("Numbers", value=3),
        "1": node("Uneven", value=["n", 0]),
        "2": node("Join", a=["1", 0], b=["1", 1]),
        "3": node("Show", value=["2", 0]),
    }
    result = Bench(BASIC | {"Uneven": Uneven, "Numbers": Numbers}).run(graph)
    assert result.finished.outputs["3"]["text"] == [
        "{'a': 0, 'b': 0}",
        "{'a': 'direct', 'b': None}",
        "{'a': 2, 'b': 2}",
    ]


class LoopEnd(Value):
    """Closes a while loop: copies its body, found by links, until the count is zero."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """What goes on in the next round, and where the loop begins."""
        return {
            "required": {"start": ("*", {"rawLink": True}), "count": ANY, "value": ANY},
            "hidden": {"graph": "DYNPROMPT", "me": "UNIQUE_ID"},
        }

    def run(self, start: Any, count: int, value: Any, graph: Any, me: str) -> Any:  # type: ignore[override]
        """Once more, or the end."""
        if count <= 0:
            return (value,)
        body: set[str] = set()
        self.collect(graph, me, start[0], body)
        copies = {x: f"{graph.get_display_node_id(x)}.{count}" for x in body | {me}}
        added = {}
        for node_id, copy in copies.items():
            original = graph.get_node(node_id)
            inputs = {
                name: [copies[given[0]], given[1]]
                if isinstance(given, list) and given[0] in body
                else given
                for name, given in original["inputs"].items()
            }
            display = graph.get_display_node_id(node_id)
            added[copy] = original | {"inputs": inputs, "override_display_id": display}
        added[copies[start[0]]]["inputs"] = {"count": count, "value": value}
        return {"expand": added, "result": ([copies[me], 0],)}

    def collect(self, graph: Any, node_id: str, start: str, body: set[str]) -> bool:
        """The nodes between the start and this one."""
        found = node_id == start
        for given in graph.get_node(node_id)["inputs"].values():
            if isinstance(given, list) and self.collect(graph, given[0], start, body):
                body.add(given[0])
                found = True
        return found


class LoopStart(Value):
    """Opens a while loop."""

    RETURN_TYPES = ("*", "*")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """A counter and a value."""
        return {"required": {"count": ANY, "value": ANY}}

    def run(self, count: int, value: Any) -> tuple[int, Any]:  # type: ignore[override]
        """The counter goes down."""
        return (count - 1, value)


class Double(Value):
    """The body of a loop."""

    def run(self, value: Any) -> tuple[Any]:
        """Twice the value."""
        return (value * 2,)


LOOP: dict[str, NodeClass] = BASIC | {
    "LoopStart": LoopStart,
    "Double": Double,
    "LoopEnd": LoopEnd,
}


def loop(count: int) -> dict[str, Any]:
    """A graph that doubles 1 as often."""
    return {
        "start": node("LoopStart", count=count, value=1),
        "double": node("Double", value=["start", 1]),
        "end": node("LoopEnd", start=["start", 0], count=["start", 0], value=["double", 0]),
        "out": node("Show", value=["end", 0]),
    }


@pytest.mark.parametrize("cache", [None, LruCache(2), NoCache()])
def test_a_while_loop_is_a_closing_node_that_copies_the_body(cache: Any) -> None:
    bench = Bench(LOOP, **({} if cache is None else {"cache": cache}))
    result = bench.run(loop(5))
    assert result.finished.outputs == {"out": {"text": ["32"]}}
    shown = {body["display_node"] for body in result.of("executing")}
    assert shown == {"start", "double", "end", "out"}


def test_a_long_loop_costs_what_its_rounds_cost() -> None:
    result = Bench(LOOP).run(loop(1500))
    assert result.finished.outputs == {"out": {"text": [str(2**1500)]}}


class Patient(Value):
    """Lets the event loop turn a few times."""

    async def run(self, value: Any) -> tuple[Any]:  # type: ignore[override]
        """The value, later."""
        for _ in range(3):
            await asyncio.sleep(0)
        return (value,)


def test_async_nodes_start_early_and_others_go_on_meanwhile() -> None:
    graph = {
        "sync": node("Value", value=1),
        "async": node("Patient", value=2),
        "join": node("Join", a=["sync", 0], b=["async", 0]),
        "out": node("Show", value=["join", 0]),
    }
    result = Bench(BASIC | {"Patient": Patient}).run(graph)
    assert result.executing == ["async", "sync", "join", "out"]
    states = result.of("progress_state")[-1]["nodes"]
    assert {state["state"] for state in states.values()} == {"finished"}


def test_an_async_function_that_waits_for_nothing_ends_at_once() -> None:
    class Quick(Value):
        async def run(self, value: Any) -> tuple[Any]:  # type: ignore[override]
            return (value,)

    graph = {
        "a": node("Quick", value=1),
        "b": node("Quick", value=2),
        "join": node("Join", a=["a", 0], b=["b", 0]),
        "out": node("Show", value=["join", 0]),
    }
    result = Bench(BASIC | {"Quick": Quick}).run(graph)
    assert result.of("progress_state")[0]["nodes"] == {
        "a": result.of("progress_state")[0]["nodes"]["a"]
    }
    assert result.executing == ["a", "b", "join", "out"]


def test_async_nodes_overlap_inside_expansions() -> None:
    arrived = 0
    event = asyncio.Event()

    class Meet(Value):
        async def run(self, value: Any) -> tuple[Any]:  # type: ignore[override]
            nonlocal arrived
            arrived += 1
            if arrived == 2:
                event.set()
            await asyncio.wait_for(event.wait(), 10)
            return (value,)

    added = {"x": node("Meet", value=1), "y": node("Meet", value=2)}
    result = expand(added, ["x", 0], ["y", 0], Meet=Meet)
    assert result.finished.outputs == {"3": {"text": ["{'a': 1, 'b': 2}"]}}


def test_node_code_knows_where_it_is_called() -> None:
    seen: list[Any] = []

    class Sees(Value):
        async def run(self, value: Any) -> tuple[Any]:  # type: ignore[override]
            await asyncio.sleep(0)
            context = current_context()
            seen.append((context.prompt_id, context.node_id, context.list_index))
            return (value,)

    graph = {
        "n": node("Numbers", value=2),
        "1": node("Sees", value=["n", 0]),
        "2": node("Show", value=["1", 0]),
    }
    Bench(BASIC | {"Sees": Sees, "Numbers": Numbers}).run(graph, prompt_id="job")
    assert seen == [("job", "1", 0), ("job", "1", 1)]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_an_async_node_that_leaves_fails_its_prompt_and_is_named(error: BaseException) -> None:
    class Leaves(Value):
        async def run(self, value: Any) -> tuple[Any]:  # type: ignore[override]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            raise error

    bench = Bench(BASIC | {"Leaves": Leaves, "Patient": Patient})
    graph = {
        "a": node("Leaves", value=1),
        "b": node("Patient", value=2),
        "c": node("Value", value=3),
        "join": node("Join", a=["a", 0], b=["b", 0], c=["c", 0]),
        "out": node("Show", value=["join", 0]),
    }
    told = bench.run(graph).error
    assert (told["node_id"], told["node_type"]) == ("a", "Leaves")
    assert told["exception_type"].endswith(type(error).__name__)
    assert bench.run({"1": node("Show", value=1)}).finished.succeeded


def test_an_interrupt_stops_before_the_next_mapped_call() -> None:
    called: list[int] = []

    class Stops(Value):
        def run(self, value: Any) -> tuple[Any]:
            called.append(value)
            if value == 1:
                bench.engine.interrupt("p")
            return (value,)

    bench = Bench(BASIC | {"Stops": Stops, "Numbers": Numbers})
    graph = {
        "n": node("Numbers", value=5),
        "1": node("Stops", value=["n", 0]),
        "2": node("Show", value=["1", 0]),
    }
    finished = bench.run(graph).finished
    assert finished.interrupted
    assert called == [0, 1]
    assert finished.messages[-1][1]["node_id"] == "1"


def test_an_interrupt_stops_a_check_of_lazy_inputs() -> None:
    class Stops(Value):
        def run(self, value: Any) -> tuple[Any]:
            bench.engine.interrupt("p")
            return (value,)

    def ask(**inputs: Any) -> list[str]:
        return ["a"] if inputs["a"] is None else ["b"]

    kind = type("Lazy", (Lazy,), {"ask": staticmethod(ask)})
    bench = Bench(BASIC | {"Lazy": kind, "Stops": Stops})
    graph = {
        "a": node("Stops", value=1),
        "lazy": node("Lazy", first=0, a=["a", 0], b=["a", 0]),
        "out": node("Show", value=["lazy", 0]),
    }
    result = bench.run(graph)
    assert result.finished.interrupted
    assert result.executing == ["lazy", "a"]


@pytest.mark.parametrize("where", ["IS_CHANGED", "check_lazy_status"])
def test_an_interrupt_wakes_an_async_question_that_only_waits(where: str) -> None:
    async def forever(*args: Any, **inputs: Any) -> Any:
        bench.engine.interrupt("p")
        await asyncio.Event().wait()

    method: Any = classmethod(forever) if where == "IS_CHANGED" else forever
    bench = Bench(BASIC | {"Slow": type("Slow", (Show,), {where: method})})
    finished = bench.run({"0": node("Show", value=1), "1": node("Slow", value=1)}, "1").finished
    assert finished.interrupted
    assert finished.messages[-1][1]["node_id"] == "1"


class Counts(Show):
    """Counts the calls of its object."""

    def __init__(self) -> None:
        self.calls = 0

    def run(self, value: Any) -> dict[str, Any]:
        """One more."""
        self.calls += 1
        return {"ui": {"calls": [self.calls]}}


def calls(bench: Bench, value: int) -> int:
    """How often the object of node "1" was called."""
    outputs = bench.run({"1": node("Counts", value=value)}, "1").finished.outputs
    count: int = outputs["1"]["calls"][0]
    return count


def test_without_a_cache_node_objects_are_new_for_every_run() -> None:
    bench = Bench({"Counts": Counts}, cache=NoCache())
    assert [calls(bench, 1), calls(bench, 2)] == [1, 1]


def test_node_objects_go_when_memory_is_freed() -> None:
    bench = Bench({"Counts": Counts})
    assert [calls(bench, 1), calls(bench, 2)] == [1, 2]
    bench.engine.clear_results()
    assert calls(bench, 3) == 1


def test_progress_may_be_told_in_the_numbers_of_other_libraries() -> None:
    class Whole:
        def __index__(self) -> int:
            return 3

    class Steps(Value):
        def run(self, value: Any) -> tuple[Any]:
            report: Any = current_context().report
            report(Whole(), 2**80)
            report(2.5, Whole())
            return (value,)

    graph = {"1": node("Steps", value=1), "2": node("Show", value=["1", 0])}
    result = Bench(BASIC | {"Steps": Steps}).run(graph)
    assert [(x["value"], x["max"]) for x in result.of("progress")] == [(3, 2.0**80), (2.5, 3)]


def test_progress_that_is_no_number_fails_its_node() -> None:
    class Steps(Value):
        def run(self, value: Any) -> tuple[Any]:
            report: Any = current_context().report
            report("half", "all")
            return (value,)

    graph = {"1": node("Steps", value=1), "2": node("Show", value=["1", 0])}
    assert Bench(BASIC | {"Steps": Steps}).run(graph).error["node_id"] == "1"


def test_short_nodes_that_report_every_step_tell_clients_only_their_last() -> None:
    class Steps(Value):
        def run(self, value: Any) -> tuple[Any]:
            for step in range(50):
                current_context().report(step + 1, 50)
            return (value,)

    graph = {str(i): node("Steps", value=i) for i in range(40)}
    graph |= {f"out{i}": node("Show", value=[str(i), 0]) for i in range(40)}
    result = Bench(BASIC | {"Steps": Steps}).run(graph)
    told = [(x["node"], x["value"]) for x in result.of("progress")]
    assert {node_id for node_id, value in told if value == 50} == {str(i) for i in range(40)}
    assert len(told) < 2 * 40
