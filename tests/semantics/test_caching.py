"""Which results are used again: keys, IS_CHANGED, and what each mode keeps."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from executor.worker.cache import ClassicCache, LruCache, NoCache, RamCache, ResultCache
from executor.worker.contract import NodeClass
from executor.worker.loading import _make_cache
from executor.worker_config import CacheMode, WorkerConfig
from tests.executor.worker.harness import ANY, BASIC, Bench, Show, Value, node


def chain(value: Any, prefix: str = "") -> dict[str, Any]:
    """Three nodes that depend on a value."""
    return {
        f"{prefix}1": node("Value", value=value),
        f"{prefix}2": node("Value", value=[f"{prefix}1", 0]),
        f"{prefix}3": node("Show", value=[f"{prefix}2", 0]),
    }


def test_a_change_upstream_reruns_everything_downstream() -> None:
    bench = Bench(BASIC)
    bench.run(chain(1))
    assert bench.run(chain(2)).executing == ["1", "2", "3"]


def test_nodes_with_results_are_listed_in_graph_order_needed_or_not() -> None:
    bench = Bench(BASIC)
    bench.run({"b": node("Show", value=2), "a": node("Show", value=1)})
    graph = {
        "spare": node("Show", value=1),
        "new": node("Show", value=3),
        "b": node("Show", value=2),
        "a": node("Show", value=1),
    }
    result = bench.run(graph, "new")
    assert result.cached == ["spare", "b", "a"]
    assert result.of("executed") == [
        {"node": "new", "display_node": "new", "output": {"text": ["3"]}, "prompt_id": "p"}
    ]
    assert list(result.of("progress_state")[-1]["nodes"]) == ["new"]


def test_no_class_shares_the_results_of_another() -> None:
    bench = Bench(BASIC | {"Other": type("Other", (Show,), {})})
    bench.run({"1": node("Show", value=1)})
    assert bench.run({"1": node("Other", value=1)}, "1").cached == []


@pytest.mark.parametrize(
    ("first", "second"),
    [(1, 2), (1, "1"), (0, None), ([1, 2], [2, 1]), ({"a": 1}, {"a": 2}), ("a", ["a"])],
)
def test_other_literals_give_other_keys(first: Any, second: Any) -> None:
    bench = Bench(BASIC)
    bench.run({"1": node("Show", value={"__value__": first})})
    assert bench.run({"1": node("Show", value={"__value__": second})}).cached == []
    assert bench.run({"1": node("Show", value={"__value__": second})}).cached == ["1"]


def test_the_order_of_keys_inside_a_literal_does_not_matter() -> None:
    bench = Bench(BASIC)
    bench.run({"1": node("Show", value={"a": 1, "b": 2})})
    assert bench.run({"1": node("Show", value={"b": 2, "a": 1})}).cached == ["1"]


@pytest.mark.parametrize("value", [2**100, {"n": -(2**70)}, {"b": 2**80, "a": [2**80]}])
def test_large_integers_are_values_like_others(value: Any) -> None:
    bench = Bench(BASIC)
    bench.run({"1": node("Show", value=value)})
    assert bench.run({"1": node("Show", value=value)}).cached == ["1"]
    assert bench.run({"1": node("Show", value=2**100 + 1)}).cached == []


@dataclass
class Point:
    """A value that is no JSON, though it is equal to others."""

    x: int


@pytest.mark.parametrize("value", [Point(1), {1, 2}, [Point(1)], {"a": Point(1)}, object()])
def test_what_is_no_json_never_matches(value: Any) -> None:
    bench = Bench(BASIC)
    bench.run({"1": node("Show", value=value)})
    assert bench.run({"1": node("Show", value=value)}).cached == []


def asking(answer: Callable[..., Any], **attributes: Any) -> type[Show]:
    """An output node class with this IS_CHANGED."""
    return type("Asks", (Show,), {"IS_CHANGED": classmethod(answer), **attributes})


def test_is_changed_is_called_once_for_every_node_needed_or_not() -> None:
    asked: list[Any] = []

    def answer(cls: Any, value: Any) -> None:
        asked.append(value)

    bench = Bench(BASIC | {"Asks": asking(answer)})
    graph = {
        "1": node("Asks", value=1),
        "2": node("Asks", value=2),
        "3": node("Asks", value=["2", 0]),
    }
    bench.run(graph, "1")
    assert sorted(asked, key=str) == [1, 2, None]


def test_is_changed_gets_none_for_a_link_although_its_producer_is_cached() -> None:
    asked: list[Any] = []

    def answer(cls: Any, value: Any) -> None:
        asked.append(value)

    bench = Bench(BASIC | {"Asks": asking(answer)})
    graph = {"1": node("Value", value=1), "2": node("Asks", value=["1", 0])}
    bench.run(graph, "2")
    assert bench.run(graph, "2").cached == ["1", "2"]
    assert asked == [None, None]


@pytest.mark.parametrize("state", [2**80, b"\x00\xff", "text", 1.5, ["a", {"b": 1}], (1, 2), True])
def test_is_changed_may_answer_with_any_plain_value(state: Any) -> None:
    answers = [state, state, "other"]

    def answer(cls: Any, value: Any) -> Any:
        return answers.pop(0)

    bench = Bench(BASIC | {"Asks": asking(answer)})
    graph = {"1": node("Asks", value=1)}
    assert [bench.run(graph, "1").cached for _ in range(3)] == [[], ["1"], []]


def test_an_error_in_is_changed_is_logged_and_the_node_runs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(cls: Any, value: Any) -> Any:
        raise OSError("the file is gone")

    bench = Bench(BASIC | {"Asks": asking(answer)})
    with caplog.at_level(logging.WARNING):
        assert bench.run({"7": node("Asks", value=1)}, "7").finished.succeeded
    assert "the file is gone" in caplog.text
    assert "7" in caplog.text
    assert bench.run({"7": node("Asks", value=1)}, "7").cached == []


def test_a_node_that_leaves_in_is_changed_is_named() -> None:
    def answer(cls: Any, value: Any) -> Any:
        raise SystemExit(1)

    graph = {"1": node("Asks", value=1), "2": node("Show", value=1)}
    error = Bench(BASIC | {"Asks": asking(answer)}).run(graph, "2").error
    assert (error["node_id"], error["node_type"]) == ("1", "Asks")


def test_the_graph_that_nodes_see_has_a_list_of_what_is_changed_answered() -> None:
    class Sees(Show):
        INPUT_IS_LIST = True

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"value": ANY}, "hidden": {"graph": "PROMPT"}}

        @classmethod
        def IS_CHANGED(cls, value: Any) -> Any:
            return value

        def run(self, value: Any, graph: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"ui": {"text": [graph[0]["1"]["is_changed"]]}}

    outputs = Bench({"Sees": Sees}).run({"1": node("Sees", value=5)}, "1").finished.outputs
    assert outputs == {"1": {"text": [[[5]]]}}


class Thing:
    """Something large that a cache may hold on to."""


class Makes(Value):
    """Makes a thing."""

    alive: ClassVar[weakref.WeakSet[Thing]] = weakref.WeakSet()

    def run(self, value: Any) -> tuple[Any]:
        """A new one."""
        thing = Thing()
        type(self).alive.add(thing)
        return (thing,)


class Expands(Value):
    """Expands into as many nodes as its value says, the last of which makes a thing."""

    def run(self, value: Any) -> Any:
        """Nested in itself."""
        if value == 0:
            return {"expand": {"x": node("Makes", value=object())}, "result": (["x", 0],)}
        name = f"e{value}"
        return {"expand": {name: node("Expands", value=value - 1)}, "result": ([name, 0],)}


class Measures(Show):
    """Shows the kind of its input."""

    def run(self, value: Any) -> dict[str, Any]:
        """By name."""
        return {"ui": {"text": [type(value).__name__]}}


@pytest.fixture
def things() -> dict[str, NodeClass]:
    """The classes above, with things of their own."""
    makes = type("Makes", (Makes,), {"alive": weakref.WeakSet()})
    return BASIC | {"Makes": makes, "Expands": Expands, "Measures": Measures}


def alive(classes: dict[str, NodeClass]) -> int:
    """How many things there are."""
    gc.collect()
    return len(classes["Makes"].alive)


@pytest.mark.parametrize(("depth", "others"), [(0, [0]), (3, [2, 0, 1])])
def test_the_classic_cache_forgets_expansions_that_do_not_come_again(
    things: dict[str, NodeClass], depth: int, others: list[int]
) -> None:
    bench = Bench(things)
    for run, value in enumerate([depth, *others] * 4):
        graph = {
            "1": node("Expands", value=value, run=run),
            "2": node("Measures", value=["1", 0]),
        }
        assert bench.run(graph, "2").finished.outputs == {"2": {"text": ["Thing"]}}
    assert alive(things) <= 2
    bench.run({"1": node("Show", value=1)})
    assert alive(things) == 0


def test_the_lru_cache_forgets_old_expansions(things: dict[str, NodeClass]) -> None:
    bench = Bench(things, cache=LruCache(4))
    for run in range(20):
        graph = {"1": node("Expands", value=0, run=run), "2": node("Measures", value=["1", 0])}
        bench.run(graph, "2")
    assert alive(things) <= 4


def test_without_a_cache_nothing_is_held_after_a_run(things: dict[str, NodeClass]) -> None:
    bench = Bench(things, cache=NoCache())
    bench.run({"1": node("Makes", value=1), "2": node("Measures", value=["1", 0])}, "2")
    assert alive(things) == 0


def test_the_classic_cache_forgets_the_last_graph_when_another_starts(
    things: dict[str, NodeClass],
) -> None:
    bench = Bench(things)
    bench.run({"1": node("Makes", value=1), "2": node("Measures", value=["1", 0])}, "2")
    assert alive(things) == 1
    bench.run({"1": node("Show", value=1)})
    assert alive(things) == 0


def test_an_expanded_node_is_cached_under_its_parent_only() -> None:
    class Repeats(Value):
        @classmethod
        def IS_CHANGED(cls, value: Any) -> float:
            return float("nan")

        def run(self, value: Any) -> Any:
            return {"expand": {f"{value}x": node("Value", value=7)}, "result": ([f"{value}x", 0],)}

    bench = Bench(BASIC | {"Repeats": Repeats})
    graph = {
        "1": node("Repeats", value="a"),
        "2": node("Show", value=["1", 0]),
        "3": node("Repeats", value="b"),
        "4": node("Show", value=["3", 0]),
    }
    assert set(bench.run(graph).executing) == {"1", "ax", "2", "3", "bx", "4"}
    assert set(bench.run(graph).executing) == {"1", "2", "3", "4"}


def ram_cache(free: Callable[[], float]) -> RamCache:
    """A cache with a headroom of 10, whose clock goes on with every look."""
    seconds = iter(range(10_000))
    return RamCache(10, free_bytes=free, size_of=lambda result: 1, clock=lambda: next(seconds))


def test_the_ram_cache_keeps_older_graphs_while_there_is_room() -> None:
    bench = Bench(BASIC, cache=ram_cache(lambda: 100.0))
    assert [len(bench.run(chain(v)).executing) for v in (1, 2, 3, 1, 2)] == [3, 3, 3, 0, 0]


def test_the_ram_cache_is_looked_through_after_every_node_when_room_is_short() -> None:
    bench = Bench(BASIC, cache=ram_cache(lambda: 0.0))
    first = bench.run(chain(1))
    assert first.finished.outputs == {"3": {"text": ["1"]}}
    assert first.executing == ["1", "2", "3"]
    assert bench.run(chain(1)).cached == []


@pytest.mark.parametrize(
    ("mode", "options", "kind"),
    [
        ("classic", {}, ClassicCache),
        ("lru", {"cache_lru": 5}, LruCache),
        ("lru", {"cache_lru": 0}, ClassicCache),
        ("ram", {"cache_ram_gb": 1.0}, RamCache),
        ("none", {}, NoCache),
    ],
)
def test_the_settings_choose_the_cache(
    tmp_path: Path, mode: CacheMode, options: dict[str, Any], kind: type[ResultCache]
) -> None:
    config = WorkerConfig(base=str(tmp_path), cpu=True, cache_mode=mode, **options)
    assert type(_make_cache(config)) is kind
