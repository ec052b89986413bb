"""Nodes that add nodes, and nodes that take their time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from executor.worker.cache import ClassicCache, LruCache, NoCache, ResultCache
from executor.worker.contract import NodeClass
from tests.executor.worker.harness import ANY, BASIC, Bench, Show, Value, node


class Expand(Value):
    """Adds a Value behind itself."""

    def run(self, value: Any) -> Any:
        """A link into the added nodes."""
        added = {"x": node("Value", value=value)}
        return {"expand": added, "result": (["x", 0],)}


class Countdown(Value):
    """Adds a copy of itself until it reaches zero."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """A number."""
        return {"required": {"value": ANY}, "hidden": {"unique_id": "UNIQUE_ID"}}

    def run(self, value: int, unique_id: str) -> Any:  # type: ignore[override]
        """Zero, in the end."""
        if value == 0:
            return (0,)
        below = f"{unique_id}.{value}"
        return {"expand": {below: node("Countdown", value=value - 1)}, "result": ([below, 0],)}


NODES: dict[str, NodeClass] = BASIC | {"Expand": Expand, "Countdown": Countdown}


def test_an_expansion_gives_the_value_of_the_node_it_added() -> None:
    graph = {"1": node("Expand", value=7), "2": node("Show", value=["1", 0])}
    result = Bench(NODES).run(graph)
    assert result.finished.outputs == {"2": {"text": ["7"]}}
    executing = [(b["node"], b["display_node"]) for b in result.of("executing")]
    assert executing == [("1", "1"), ("x", "1"), ("2", "2")]
    state = result.of("progress_state")[-1]["nodes"]["x"]
    assert state["parent_node_id"] == "1"
    assert state["real_node_id"] == "1"


def test_an_override_decides_where_an_added_node_is_displayed() -> None:
    class Elsewhere(Value):
        def run(self, value: Any) -> Any:
            added = node("Value", value=value) | {"override_display_id": "2"}
            return {"expand": {"x": added}, "result": (["x", 0],)}

    graph = {"1": node("Elsewhere", value=7), "2": node("Show", value=["1", 0])}
    result = Bench(NODES | {"Elsewhere": Elsewhere}).run(graph)
    assert [b["display_node"] for b in result.of("executing")] == ["1", "2", "2"]


@pytest.mark.parametrize("cache", [ClassicCache(), LruCache(3), NoCache()])
def test_expansions_nest(cache: ResultCache) -> None:
    graph = {"1": node("Countdown", value=30), "2": node("Show", value=["1", 0])}
    result = Bench(NODES, cache=cache).run(graph)
    assert result.finished.outputs == {"2": {"text": ["0"]}}
    assert len(result.executing) == 32


def test_a_cached_parent_does_not_expand_again() -> None:
    bench = Bench(NODES)
    graph = {"1": node("Expand", value=7), "2": node("Show", value=["1", 0])}
    bench.run(graph)
    assert bench.run(graph).executing == []


def test_a_parent_that_runs_again_reuses_the_nodes_it_repeats() -> None:
    class Renewed(Expand):
        @classmethod
        def IS_CHANGED(cls, value: Any) -> float:
            return float("nan")

    bench = Bench(NODES | {"Expand": Renewed})
    graph = {"1": node("Expand", value=7), "2": node("Show", value=["1", 0])}
    bench.run(graph)
    assert bench.run(graph).executing == ["1", "2"]


def test_added_output_nodes_run_even_if_nothing_needs_them() -> None:
    class Shows(Value):
        def run(self, value: Any) -> Any:
            return {"expand": {"x": node("Show", value=value)}, "result": (value,)}

    graph = {"1": node("Shows", value=7), "2": node("Show", value=["1", 0])}
    result = Bench(NODES | {"Shows": Shows}).run(graph)
    assert result.finished.outputs == {"x": {"text": ["7"]}, "2": {"text": ["7"]}}
    assert result.finished.meta["x"]["parent_node"] == "1"


def test_mapped_calls_may_expand_or_not_and_keep_their_order() -> None:
    class Numbers(Value):
        OUTPUT_IS_LIST = (True,)

        def run(self, value: Any) -> tuple[Any]:
            return (list(range(value)),)

    class Sometimes(Value):
        def run(self, value: Any) -> Any:
            if value % 2:
                return (value,)
            return {
                "expand": {f"x{value}": node("Value", value=value)},
                "result": ([f"x{value}", 0],),
            }

    graph = {
        "1": node("Numbers", value=4),
        "2": node("Sometimes", value=["1", 0]),
        "3": node("Show", value=["2", 0]),
    }
    result = Bench(NODES | {"Numbers": Numbers, "Sometimes": Sometimes}).run(graph)
    assert result.finished.outputs == {"3": {"text": ["0", "1", "2", "3"]}}


def expand_to(added: dict[str, Any], result: tuple[Any, ...]) -> Any:
    """The run of a node that expands to these nodes."""

    class Fixed(Value):
        def run(self, value: Any) -> Any:
            return {"expand": added, "result": result}

    graph = {"1": node("Fixed", value=0), "2": node("Show", value=["1", 0])}
    return Bench(NODES | {"Fixed": Fixed}).run(graph)


def test_an_expansion_that_repeats_an_id_fails() -> None:
    error = expand_to({"2": node("Value", value=1)}, (1,)).error
    assert error["node_id"] == "1"
    assert "'2'" in error["exception_message"]


def test_an_expansion_that_links_to_nothing_fails() -> None:
    assert expand_to({"x": node("Value", value=["y", 0])}, (["x", 0],)).error["node_id"] == "1"
    assert expand_to({"x": node("Value", value=1)}, (["y", 0],)).error["node_id"] == "1"


def test_a_cycle_at_run_time_is_an_error_at_the_node_where_it_is_displayed() -> None:
    added = {"x": node("Value", value=["y", 0]), "y": node("Value", value=["x", 0])}
    result = expand_to(added, (["x", 0],))
    assert result.error["exception_type"] == "graph.DependencyCycleError"
    assert result.error["node_id"] == "1"
    assert not result.finished.succeeded


def test_tensors_as_literals_of_added_nodes_are_never_cached_together() -> None:
    class Opaque(Value):
        def run(self, value: Any) -> Any:
            return {"expand": {"x": node("Value", value=object())}, "result": (["x", 0],)}

        @classmethod
        def IS_CHANGED(cls, value: Any) -> float:
            return float("nan")

    bench = Bench(NODES | {"Opaque": Opaque})
    graph = {"1": node("Opaque", value=7), "2": node("Show", value=["1", 0])}
    bench.run(graph)
    assert bench.run(graph).executing == ["1", "x", "2"]


class Meet(Value):
    """Waits until as many nodes as `parties` have arrived."""

    parties = 2
    arrived = 0
    event: asyncio.Event

    async def run(self, value: Any) -> tuple[Any]:  # type: ignore[override]
        """The value, once all are there."""
        kind = type(self)
        if kind.arrived == 0:
            kind.event = asyncio.Event()
        kind.arrived += 1
        if kind.arrived == kind.parties:
            kind.event.set()
        await asyncio.wait_for(kind.event.wait(), timeout=10)
        return (value,)


def meeting(parties: int) -> type[Meet]:
    """A class of its own for one test."""
    return type("Meet", (Meet,), {"parties": parties, "arrived": 0})


def test_independent_async_nodes_overlap() -> None:
    graph = {
        "a": node("Meet", value=1),
        "b": node("Meet", value=2),
        "join": node("Join", a=["a", 0], b=["b", 0]),
        "out": node("Show", value=["join", 0]),
    }
    result = Bench(BASIC | {"Meet": meeting(2)}).run(graph)
    assert result.finished.outputs == {"out": {"text": ["{'a': 1, 'b': 2}"]}}
    assert result.executing == ["a", "b", "join", "out"]


def test_the_mapped_calls_of_an_async_node_overlap_and_keep_their_order() -> None:
    class Numbers(Value):
        OUTPUT_IS_LIST = (True,)

        def run(self, value: Any) -> tuple[Any]:
            return (list(range(value)),)

    graph = {
        "1": node("Numbers", value=3),
        "2": node("Meet", value=["1", 0]),
        "3": node("Show", value=["2", 0]),
    }
    result = Bench(BASIC | {"Numbers": Numbers, "Meet": meeting(3)}).run(graph)
    assert result.finished.outputs == {"3": {"text": ["0", "1", "2"]}}


def test_other_nodes_go_on_while_an_async_node_waits() -> None:
    class Arrive(Value):
        def run(self, value: Any) -> tuple[Any]:
            meet.arrived += 1
            meet.event.set()
            return (value,)

    meet = meeting(99)
    graph = {
        "a": node("Meet", value=1),
        "b": node("Arrive", value=2),
        "join": node("Join", a=["a", 0], b=["b", 0]),
        "out": node("Show", value=["join", 0]),
    }
    result = Bench(BASIC | {"Meet": meet, "Arrive": Arrive}).run(graph)
    assert result.finished.succeeded


def test_an_error_in_one_async_node_cancels_the_others() -> None:
    cancelled: list[bool] = []

    class Forever(Value):
        async def run(self, value: Any) -> tuple[Any]:  # type: ignore[override]
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise
            return (value,)

    class Breaks(Value):
        async def run(self, value: Any) -> tuple[Any]:  # type: ignore[override]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            raise ValueError("broken")

    graph = {
        "a": node("Forever", value=1),
        "b": node("Breaks", value=2),
        "join": node("Join", a=["a", 0], b=["b", 0]),
        "out": node("Show", value=["join", 0]),
    }
    result = Bench(BASIC | {"Forever": Forever, "Breaks": Breaks}).run(graph)
    assert (result.error["node_id"], result.error["exception_message"]) == ("b", "broken\n")
    assert cancelled == [True]


def test_an_interrupt_wakes_a_run_that_only_waits() -> None:
    class Forever(Show):
        async def run(self, value: Any) -> dict[str, Any]:  # type: ignore[override]
            bench.engine.interrupt("p")
            await asyncio.Event().wait()
            return {}

    bench = Bench({"Forever": Forever})
    assert bench.run({"1": node("Forever", value=1)}, "1").finished.interrupted


def test_async_checks_are_awaited() -> None:
    class Slow(Show):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"value": ("*", {"lazy": True})}}

        @classmethod
        async def IS_CHANGED(cls, value: Any) -> str:
            await asyncio.sleep(0)
            return "x"

        async def check_lazy_status(self, value: Any) -> list[str]:
            await asyncio.sleep(0)
            return ["value"]

    graph = {"1": node("Value", value=1), "2": node("Slow", value=["1", 0])}
    bench = Bench(BASIC | {"Slow": Slow})
    assert bench.run(graph, "2").finished.outputs == {"2": {"text": ["1"]}}
    assert bench.run(graph, "2").cached == ["1", "2"]
