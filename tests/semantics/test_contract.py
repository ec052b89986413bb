"""What a V1 class may declare, what its method gets, and what it may return."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from executor.worker.describe import describe, describe_all
from nodes.blocker import ExecutionBlocker
from tests.executor.worker.harness import ANY, BASIC, Bench, Show, Value, node
from tests.semantics.system import System

Make = Callable[..., System]


class Numbers(Value):
    """Gives the numbers below its value."""

    OUTPUT_IS_LIST = (True,)

    def run(self, value: Any) -> tuple[Any]:
        """As a list output."""
        return (list(range(value)),)


class Letters(Numbers):
    """Gives the letters of its value."""

    def run(self, value: Any) -> tuple[Any]:
        """As a list output."""
        return (list(value),)


class Takes(Show):
    """Shows by name what it was called with."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Two inputs, of which one may be absent."""
        return {"required": {"a": ANY}, "optional": {"b": ANY}}

    def run(self, **inputs: Any) -> dict[str, Any]:  # type: ignore[override]
        """All of them."""
        return {"ui": {"text": [inputs]}}


def test_a_class_that_declares_little_is_described_with_defaults() -> None:
    class Bare:
        RETURN_TYPES = ("IMAGE", "MASK")
        FUNCTION = "work"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"a": ("INT",)}}

    assert describe("Bare", Bare, "Bare").info == {
        "input": {"required": {"a": ["INT"]}},
        "input_order": {"required": ["a"]},
        "output": ["IMAGE", "MASK"],
        "output_is_list": [False, False],
        "output_name": ["IMAGE", "MASK"],
        "name": "Bare",
        "display_name": "Bare",
        "description": "",
        "python_module": "nodes",
        "category": "sd",
        "output_node": False,
    }


def test_what_a_class_declares_is_described() -> None:
    class Rich(Value):
        RETURN_NAMES = ("thing",)
        OUTPUT_IS_LIST = (True,)
        CATEGORY = "mine/things"
        DESCRIPTION = "Makes a thing."
        OUTPUT_TOOLTIPS = ("The thing.",)
        DEPRECATED = True
        EXPERIMENTAL = True
        API_NODE = False
        OUTPUT_NODE = True
        RELATIVE_PYTHON_MODULE = "custom_nodes.pack"

    info = describe("Rich", Rich, "A thing").info
    assert info["output_name"] == ["thing"]
    assert info["output_is_list"] == [True]
    assert (info["category"], info["description"]) == ("mine/things", "Makes a thing.")
    assert info["output_tooltips"] == ["The thing."]
    assert (info["deprecated"], info["experimental"], info["api_node"]) == (True, True, False)
    assert info["output_node"] is True
    assert (info["display_name"], info["python_module"]) == ("A thing", "custom_nodes.pack")


def test_options_that_are_not_known_are_kept() -> None:
    class Odd(Value):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"a": ("INT", {"newFangled": {"x": (1, 2)}, "default": 1})}}

    info = describe("Odd", Odd, "Odd").info
    declared = ["INT", {"newFangled": {"x": [1, 2]}, "default": 1}]
    assert info["input"]["required"]["a"] == declared


def test_a_class_that_cannot_be_described_is_left_out_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Raises(Value):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            raise OSError("no disk")

    class Opaque(Value):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"a": ("INT", {"default": object()})}}

    with caplog.at_level(logging.ERROR):
        described = describe_all({"Raises": Raises, "Value": Value, "Opaque": Opaque}, {})
    assert [x.name for x in described] == ["Value"]
    assert "Raises" in caplog.text
    assert "Opaque" in caplog.text


def test_the_inputs_of_a_class_are_asked_for_anew_with_every_prompt() -> None:
    names = ["a"]

    class Grows(Takes):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": dict.fromkeys(names, ANY)}

    bench = Bench({"Grows": Grows})
    graph = {"1": node("Grows", a=1, later=2)}
    assert bench.run(graph, "1").finished.outputs["1"]["text"] == [{"a": 1}]
    names.append("later")
    bench.engine.clear_results()
    assert bench.run(graph, "1").finished.outputs["1"]["text"] == [{"a": 1, "later": 2}]


@pytest.mark.parametrize("marker", [True, (True,), 1])
def test_whatever_is_true_asks_for_whole_lists(marker: Any) -> None:
    kind = type("Whole", (Takes,), {"INPUT_IS_LIST": marker})
    graph = {"1": node("Numbers", value=2), "2": node("Whole", a=["1", 0], b="x")}
    result = Bench(BASIC | {"Numbers": Numbers, "Whole": kind}).run(graph, "2")
    assert result.finished.outputs["2"]["text"] == [{"a": [0, 1], "b": ["x"]}]


async def test_literals_arrive_converted_and_absent_optional_inputs_not_at_all(
    system: Make,
) -> None:
    class Count(Takes):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"a": ("INT",)}, "optional": {"b": ("FLOAT",)}}

    made = system(Count=Count)
    assert await made.shown({"1": node("Count", a="7")}) == [{"a": 7}]
    assert await made.shown({"1": node("Count", a=7.9, b="1.5")}) == [{"a": 7, "b": 1.5}]


async def test_a_list_as_literal_arrives_as_a_list(system: Make) -> None:
    graph = {"1": node("Takes", a={"__value__": ["2", 0]}), "2": node("Value", value=1)}
    assert await system(Takes=Takes).shown(graph) == [{"a": ["2", 0]}]


def test_a_lazy_input_that_was_not_evaluated_is_a_list_of_none_in_list_mode() -> None:
    class Whole(Takes):
        INPUT_IS_LIST = True

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"a": ("*", {"lazy": True})}}

    graph = {"1": node("Value", value=1), "2": node("Whole", a=["1", 0])}
    result = Bench(BASIC | {"Whole": Whole}).run(graph, "2")
    assert result.finished.outputs["2"]["text"] == [{"a": [None]}]


class HiddenValue(Takes):
    """Has hidden inputs: one that a graph may give, one of a kind that nobody knows."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """No visible ones."""
        hidden = {"given": ("INT", {"default": 1}), "odd": "SOMETHING", "png": "EXTRA_PNGINFO"}
        return {"required": {}, "hidden": hidden}


def test_a_hidden_input_with_a_type_is_passed_if_the_graph_has_it() -> None:
    bench = Bench({"HiddenValue": HiddenValue})
    outputs = bench.run({"1": node("HiddenValue", given=5)}, "1").finished.outputs
    assert outputs["1"]["text"] == [{"given": 5, "png": None}]
    outputs = bench.run({"1": node("HiddenValue")}, "1").finished.outputs
    assert outputs["1"]["text"] == [{"png": None}]


def test_hidden_inputs_are_lists_for_a_class_that_takes_lists() -> None:
    kind = type("Whole", (HiddenValue,), {"INPUT_IS_LIST": True})
    outputs = Bench({"Whole": kind}).run({"1": node("Whole")}, "1").finished.outputs
    assert outputs["1"]["text"] == [{"png": [None]}]


async def test_the_prompt_that_nodes_get_has_converted_values(system: Make) -> None:
    class Sees(Takes):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"a": ("INT",)}, "hidden": {"graph": "PROMPT"}}

    (shown,) = await system(Sees=Sees).shown({"1": node("Sees", a="3")})
    assert shown["graph"]["1"]["inputs"] == {"a": 3}


def test_the_dynamic_prompt_knows_submitted_and_added_nodes() -> None:
    seen: dict[str, Any] = {}

    class Inner(Value):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"value": ANY}, "hidden": {"graph": "DYNPROMPT", "me": "UNIQUE_ID"}}

        def run(self, value: Any, graph: Any, me: str) -> tuple[Any]:  # type: ignore[override]
            seen.update(
                me=me,
                node=graph.get_node(me)["class_type"],
                ids=set(graph.all_node_ids()),
                submitted=list(graph.get_original_prompt()),
                parent=graph.get_parent_node_id(me),
                real=graph.get_real_node_id(me),
                display=graph.get_display_node_id(me),
                has=(graph.has_node("out"), graph.has_node("nowhere")),
            )
            return (value,)

    class Outer(Value):
        def run(self, value: Any) -> Any:
            inner = node("Inner", value=value) | {"override_display_id": "out"}
            return {"expand": {"x": inner}, "result": (["x", 0],)}

    graph = {"1": node("Outer", value=1), "out": node("Show", value=["1", 0])}
    assert Bench(BASIC | {"Outer": Outer, "Inner": Inner}).run(graph).finished.succeeded
    assert seen == {
        "me": "x",
        "node": "Inner",
        "ids": {"1", "out", "x"},
        "submitted": ["1", "out"],
        "parent": "1",
        "real": "1",
        "display": "out",
        "has": (True, False),
    }


LISTS = BASIC | {"Numbers": Numbers, "Letters": Letters, "Takes": Takes}


def test_the_last_value_of_a_shorter_list_is_repeated() -> None:
    graph = {
        "1": node("Letters", value="AB"),
        "2": node("Numbers", value=3),
        "3": node("Takes", a=["1", 0], b=["2", 0]),
    }
    shown = Bench(LISTS).run(graph, "3").finished.outputs["3"]["text"]
    assert [(x["a"], x["b"]) for x in shown] == [("A", 0), ("B", 1), ("B", 2)]


def test_a_class_without_inputs_is_called_once() -> None:
    class Alone(Takes):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {}}

    outputs = Bench({"Alone": Alone}).run({"1": node("Alone")}, "1").finished.outputs
    assert outputs["1"]["text"] == [{}]


def test_an_empty_list_leaves_nothing_to_call() -> None:
    graph = {"1": node("Numbers", value=0), "2": node("Show", value=["1", 0])}
    result = Bench(LISTS).run(graph)
    assert result.finished.succeeded
    assert result.finished.outputs == {}


def test_the_ui_of_several_calls_is_joined_by_the_keys_of_the_first() -> None:
    class Different(Show):
        def run(self, value: Any) -> dict[str, Any]:
            return {"ui": {"text": [value], "first": [1]} if value == 0 else {"text": [value]}}

    graph = {"1": node("Numbers", value=3), "2": node("Different", value=["1", 0])}
    outputs = Bench(LISTS | {"Different": Different}).run(graph, "2").finished.outputs
    assert outputs["2"] == {"text": [0, 1, 2], "first": [1]}


def returning(returned: Any, **attributes: Any) -> type[Value]:
    """A class whose method returns this."""

    class Returns(Value):
        def run(self, value: Any) -> Any:
            return returned

    for name, value in attributes.items():
        setattr(Returns, name, value)
    return Returns


def test_values_beyond_the_declared_outputs_do_no_harm() -> None:
    graph = {"1": node("Returns", value=0), "2": node("Show", value=["1", 0])}
    result = Bench(BASIC | {"Returns": returning(("a", "b", "c"))}).run(graph)
    assert result.finished.outputs == {"2": {"text": ["a"]}}


def test_the_ui_of_an_expanding_node_is_sent_at_once() -> None:
    returned = {
        "ui": {"text": ["soon"]},
        "expand": {"x": node("Value", value=7)},
        "result": (["x", 0],),
    }
    graph = {"1": node("Returns", value=0), "2": node("Show", value=["1", 0])}
    result = Bench(BASIC | {"Returns": returning(returned)}).run(graph)
    steps = [
        (kind, body["node"])
        for kind, body in result.messages
        if kind.startswith("execut") and "node" in body
    ]
    assert steps.index(("executed", "1")) < steps.index(("executing", "x"))
    assert result.finished.outputs == {"1": {"text": ["soon"]}, "2": {"text": ["7"]}}


LOOPED: list[Any] = []
LOOPED.append(LOOPED)


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (5, "returned int"),
        ({1, 2}, "returned set"),
        (iter("ab"), "returned str_ascii_iterator"),
        ({"result": 5}, "returned int"),
        ({"result": {"a": 1}}, "returned dict"),
        ({"ui": [1], "result": (1,)}, "the ui of Returns is list"),
        ({"ui": {"text": 5}}, "'text'"),
        ({"ui": {"text": [object()]}}, "JSON"),
        ({"ui": {"text": [b"\xff\xfe"], 1: [2], "x": [{3, object()}]}}, "JSON"),
        ({"ui": {"text": LOOPED}}, "JSON"),
        ({"ui": {"text": ["\ud800"]}}, "JSON"),
        ({"expand": 5}, "no graph but int"),
        ({"expand": {"x": 5}, "result": (1,)}, "added node 'x'"),
        ({"expand": {"x": {"class_type": "Value", "inputs": [1]}}}, "added node 'x'"),
        ({"expand": {"x": {"inputs": {}}}}, "'x'"),
        ({"expand": {"x": node("Nowhere")}}, "Nowhere"),
        ({"expand": {5: node("Value", value=1)}}, "5"),
        ({"expand": {"\ud800": node("Value", value=1)}}, "ud800"),
        ({"expand": {"x": node("Value", value=1) | {"override_display_id": 7}}}, "7"),
        ({"expand": {"x": node("Value", value=["nowhere", 0])}}, "nowhere"),
        ({"expand": {"1": node("Value", value=1)}}, "'1'"),
        ({"expand": {"x": node("Value", value=1)}, "result": (["nowhere", 0],)}, "nowhere"),
    ],
)
def test_a_result_that_is_none_fails_the_prompt_and_names_the_node(
    returned: Any, says: str
) -> None:
    graph = {"1": node("Returns", value=0), "2": node("Show", value=["1", 0])}
    bench = Bench(BASIC | {"Returns": returning(returned)})
    error = bench.run(graph).error
    assert (error["node_id"], error["node_type"]) == ("1", "Returns")
    assert says in error["exception_message"]
    assert bench.run({"1": node("Show", value=1)}).finished.succeeded


def test_a_list_output_that_is_no_list_fails_the_prompt() -> None:
    graph = {"1": node("Returns", value=0), "2": node("Show", value=["1", 0])}
    kind = returning((5,), OUTPUT_IS_LIST=(True,))
    error = Bench(BASIC | {"Returns": kind}).run(graph).error
    assert error["node_id"] == "1"
    assert "output 0, which is declared as a list" in error["exception_message"]


class Speechless(Exception):
    """An error without a text."""

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    "broken",
    [
        {"FUNCTION": "absent"},
        {"RETURN_TYPES": 5},
        {"INPUT_TYPES": classmethod(lambda cls: 5)},
        {"__init__": lambda self: 1 / 0},
        {"run": lambda self: None},
        {"run": lambda self, value: (_ for _ in ()).throw(Speechless())},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_a_broken_class_fails_the_prompt_and_names_the_node(broken: dict[str, Any]) -> None:
    bench = Bench(BASIC | {"Broken": type("Broken", (Value,), broken)})
    graph = {
        "0": node("Value", value=1),
        "1": node("Broken", value=["0", 0]),
        "2": node("Show", value=["1", 0]),
    }
    error = bench.run(graph).error
    assert (error["node_id"], error["node_type"]) == ("1", "Broken")
    assert bench.run({"1": node("Show", value=1)}).finished.succeeded


def test_a_blocker_in_a_list_output_is_one_item_of_the_list() -> None:
    class Some(Value):
        OUTPUT_IS_LIST = (True,)

        def run(self, value: Any) -> tuple[Any]:
            return ([1, ExecutionBlocker(None), 3],)

    class Whole(Value):
        OUTPUT_IS_LIST = (True,)

        def run(self, value: Any) -> tuple[Any]:
            return (ExecutionBlocker(None) if value == 1 else [value, value],)

    graph = {
        "1": node("Some", value=0),
        "2": node("Whole", value=["1", 0]),
        "3": node("Show", value=["2", 0]),
    }
    result = Bench(BASIC | {"Some": Some, "Whole": Whole}).run(graph)
    assert result.finished.outputs == {"3": {"text": ["3", "3"]}}


def test_a_blocked_output_node_counts_as_executed_and_shows_nothing() -> None:
    kind = returning((ExecutionBlocker(None),))
    graph = {
        "1": node("Returns", value=0),
        "2": node("Show", value=["1", 0]),
        "3": node("Show", value=5),
    }
    result = Bench(BASIC | {"Returns": kind}).run(graph)
    assert [body["node"] for body in result.of("executed")] == ["3"]
    assert result.finished.outputs == {"3": {"text": ["5"]}}
    assert result.of("progress_state")[-1]["nodes"]["2"]["state"] == "finished"


def test_the_message_of_a_blocker_in_a_result_reaches_clients_and_not_the_history() -> None:
    kind = returning({"result": ExecutionBlocker("not today")}, RETURN_TYPES=("*", "*"))
    graph = {"1": node("Returns", value=0), "2": node("Show", value=["1", 1])}
    result = Bench(BASIC | {"Returns": kind}).run(graph)
    (told,) = result.of("execution_error")
    assert (told["node_id"], told["exception_type"]) == ("2", "ExecutionBlocked")
    assert "not today" in told["exception_message"]
    assert "timestamp" not in told
    assert [kind for kind, _ in result.finished.messages] == [
        "execution_start",
        "execution_cached",
        "execution_success",
    ]
