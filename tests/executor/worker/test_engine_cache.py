"""Which results are used again, and what clients hear of it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from executor.worker.cache import LruCache, NoCache, NodeResult, RamCache, ResultCache
from tests.executor.worker.harness import BASIC, Bench, Show, Value, node


def chain(value: Any, *, prefix: str = "", name: str = "Value") -> dict[str, Any]:
    """Two nodes that depend on a value."""
    return {
        f"{prefix}1": node(name, value=value),
        f"{prefix}2": node("Show", value=[f"{prefix}1", 0]),
    }


def test_the_same_graph_again_runs_nothing_and_shows_everything() -> None:
    bench = Bench(BASIC)
    first = bench.run(chain(1))
    again = bench.run(chain(1))
    assert again.cached == ["1", "2"]
    assert again.executing == []
    assert [t for t in again.types if t != "progress_state"] == [
        "execution_start",
        "execution_cached",
        "executed",
        "execution_success",
    ]
    assert again.of("executed") == first.of("executed")
    assert again.finished.outputs == first.finished.outputs
    assert again.finished.meta == first.finished.meta
    assert list(again.of("progress_state")[-1]["nodes"]) == ["2"]


def test_the_output_of_a_cached_node_without_ui_is_null() -> None:
    bench = Bench(BASIC)
    bench.run({"1": node("Quiet", value=1)}, "1")
    again = bench.run({"1": node("Quiet", value=1)}, "1")
    assert again.of("executed")[0]["output"] is None
    assert again.finished.outputs == {}


def test_a_renamed_graph_is_fully_cached_and_keeps_the_meta_of_the_first_run() -> None:
    bench = Bench(BASIC)
    bench.run(chain(1))
    again = bench.run(chain(1, prefix="x"))
    assert again.cached == ["x1", "x2"]
    assert again.finished.meta["x2"]["node_id"] == "2"


def test_equal_nodes_in_one_graph_run_once() -> None:
    result = Bench(BASIC).run(chain(1) | chain(1, prefix="x"))
    assert result.executing == ["1", "2"]
    assert {body["node"] for body in result.of("executed")} == {"2", "x1", "x2"}
    assert result.finished.outputs == {"2": {"text": ["1"]}, "x2": {"text": ["1"]}}


def test_a_change_reruns_what_depends_on_it_and_nothing_else() -> None:
    graph = {
        "a": node("Value", value=1),
        "b": node("Value", value=2),
        "join": node("Join", a=["a", 0], b=["b", 0]),
        "out": node("Show", value=["join", 0]),
    }
    bench = Bench(BASIC)
    bench.run(graph)
    graph["b"] = node("Value", value=3)
    again = bench.run(graph)
    assert again.cached == ["a"]
    assert again.executing == ["b", "join", "out"]


def test_the_order_of_inputs_and_an_undeclared_one_matter_as_documented() -> None:
    bench = Bench(BASIC)
    bench.run({"1": node("Join", a=1, b=2), "2": node("Show", value=["1", 0])})
    swapped = {"1": node("Join", b=2, a=1), "2": node("Show", value=["1", 0])}
    assert bench.run(swapped).cached == ["1", "2"]
    extra = {"1": node("Join", a=1, b=2, other=3), "2": node("Show", value=["1", 0])}
    assert bench.run(extra).cached == []


def test_an_index_of_the_producer_is_part_of_the_key() -> None:
    bench = Bench(BASIC)
    bench.run({"1": node("Value", value=1), "2": node("Show", value=["1", 0])})
    other = bench.run({"1": node("Value", value=1), "2": node("Show", value=["1", 1])})
    assert other.cached == ["1"]


@pytest.mark.parametrize("attribute", ["NOT_IDEMPOTENT", "UNIQUE_ID"])
def test_nodes_whose_id_matters_do_not_share_results(attribute: str) -> None:
    class Own(Value):
        NOT_IDEMPOTENT = attribute == "NOT_IDEMPOTENT"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            hidden = {"unique_id": "UNIQUE_ID"} if attribute == "UNIQUE_ID" else {}
            return {"required": {"value": ("*",)}, "hidden": hidden}

        def run(self, value: Any, unique_id: str | None = None) -> tuple[Any]:
            return (value,)

    bench = Bench(BASIC | {"Own": Own})
    bench.run(chain(1, name="Own"))
    assert bench.run(chain(1, name="Own")).cached == ["1", "2"]
    assert bench.run(chain(1, prefix="x", name="Own")).cached == []


def changing(values: list[Any]) -> type[Value]:
    """A class whose IS_CHANGED gives these values in turn."""

    class Changing(Value):
        @classmethod
        def IS_CHANGED(cls, value: Any) -> Any:
            item = values.pop(0)
            if isinstance(item, Exception):
                raise item
            return item

    return Changing


def test_is_changed_decides_whether_a_node_runs_again() -> None:
    bench = Bench(BASIC | {"Value": changing(["a", "a", "b"])})
    bench.run(chain(1))
    assert bench.run(chain(1)).cached == ["1", "2"]
    assert bench.run(chain(1)).cached == []


@pytest.mark.parametrize("value", [math.nan, ValueError("no"), object()])
def test_what_equals_nothing_always_runs_again(value: Any) -> None:
    bench = Bench(BASIC | {"Value": changing([value, value])})
    bench.run(chain(1))
    assert bench.run(chain(1)).executing == ["1", "2"]


def test_is_changed_gets_literals_only_and_is_written_into_the_graph() -> None:
    seen: list[Any] = []

    class Watch(Show):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"value": ("*",), "other": ("*",)}, "hidden": {"p": "PROMPT"}}

        @classmethod
        def IS_CHANGED(cls, value: Any, other: Any) -> str:
            seen.append((value, other))
            return "mark"

        def run(self, value: Any, other: Any, p: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"ui": {"changed": p["2"]["is_changed"]}}

    graph = {"1": node("Value", value=1), "2": node("Watch", value=["1", 0], other=5)}
    result = Bench(BASIC | {"Watch": Watch}).run(graph, "2")
    assert seen == [(None, 5)]
    assert result.finished.outputs == {"2": {"changed": ["mark"]}}


def test_a_submitted_is_changed_is_not_believed() -> None:
    bench = Bench(BASIC | {"Value": changing(["a", "b"])})
    bench.run(chain(1))
    graph = chain(1)
    graph["1"]["is_changed"] = ["a"]
    assert bench.run(graph).cached == []


def test_results_made_before_a_failure_stay_cached() -> None:
    graph = chain(1) | {"3": node("Fail", value=1), "4": node("Show", value=["3", 0])}
    bench = Bench(BASIC)
    failed = bench.run(graph)
    assert failed.finished.outputs == {"2": {"text": ["1"]}}
    assert bench.run(graph).cached == ["1", "2"]


def executed(cache: ResultCache, *values: int) -> list[int]:
    """How many nodes each of these graphs ran."""
    bench = Bench(BASIC, cache=cache)
    return [len(bench.run(chain(value)).executing) for value in values]


def test_the_classic_cache_keeps_the_last_graph() -> None:
    bench = Bench(BASIC)
    assert [len(bench.run(chain(v)).executing) for v in (1, 1, 2, 1)] == [2, 0, 2, 2]


def test_the_lru_cache_keeps_older_graphs_up_to_its_number() -> None:
    a, b, c, d = range(4)
    assert executed(LruCache(4), a, b, a, b, c, d, a) == [2, 2, 0, 0, 2, 2, 2]


def test_without_a_cache_everything_runs_and_nothing_is_reported_as_cached() -> None:
    bench = Bench(BASIC, cache=NoCache())
    bench.run(chain(1))
    again = bench.run(chain(1) | chain(1, prefix="x"))
    assert again.cached == []
    assert again.executing == ["1", "2", "x1", "x2"]


def test_the_ram_cache_drops_large_old_results_when_memory_is_short() -> None:
    free = [100.0]
    sizes = {"big": 50, "old": 10, "new": 10}

    def size_of(result: NodeResult) -> int:
        return sizes[result.outputs[0][0]]

    seconds = iter(range(1000))
    cache = RamCache(60, free_bytes=lambda: free[0], size_of=size_of, clock=lambda: next(seconds))
    for run, name in enumerate(["old", "big", "new"]):
        cache.begin([], frozenset())
        cache.put((None, name.encode()), NodeResult(outputs=[[name]]))
        free[0] = 100.0 if run < 2 else 30.0
        cache.relieve()
    kept = [name for name in sizes if cache.get((None, name.encode())) is not None]
    assert kept == ["old", "new"]


def test_clearing_the_results_runs_everything_again() -> None:
    bench = Bench(BASIC)
    bench.run(chain(1))
    bench.engine.clear_results()
    assert bench.run(chain(1)).cached == []
