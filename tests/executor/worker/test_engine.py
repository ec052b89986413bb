"""Normal runs: messages, history, order, list mapping."""

from __future__ import annotations

from typing import Any

import pytest

from tests.executor.worker.harness import ANY, BASIC, Bench, Show, Value, node


def test_messages_of_a_run_come_in_the_documented_order() -> None:
    result = Bench(BASIC).run({"1": node("Value", value=3), "2": node("Show", value=["1", 0])})
    types = [t for t in result.types if t != "progress_state"]
    assert types == [
        "execution_start",
        "execution_cached",
        "executing",
        "executing",
        "executed",
        "execution_success",
    ]
    assert result.types.index("progress_state") < result.types.index("executing")
    assert result.types[-2:] == ["progress_state", "execution_success"]


def test_the_last_progress_state_holds_every_node_that_ran() -> None:
    result = Bench(BASIC).run({"1": node("Value", value=3), "2": node("Show", value=["1", 0])})
    last = result.of("progress_state")[-1]
    assert last["prompt_id"] == "p"
    assert last["nodes"]["1"] == {
        "value": 1,
        "max": 1,
        "state": "finished",
        "node_id": "1",
        "prompt_id": "p",
        "display_node_id": "1",
        "parent_node_id": None,
        "real_node_id": "1",
    }
    assert list(last["nodes"]) == ["1", "2"]


def test_history_keeps_outputs_meta_and_three_messages() -> None:
    result = Bench(BASIC).run({"1": node("Value", value=3), "2": node("Show", value=["1", 0])})
    finished = result.finished
    assert finished.succeeded
    assert finished.outputs == {"2": {"text": ["3"]}}
    meta = {"node_id": "2", "display_node": "2", "parent_node": None, "real_node_id": "2"}
    assert finished.meta == {"2": meta}
    names = [name for name, _ in finished.messages]
    assert names == ["execution_start", "execution_cached", "execution_success"]
    assert all(body["timestamp"] > 1_600_000_000_000 for _, body in finished.messages)


def test_nodes_that_no_output_needs_do_not_run() -> None:
    graph = {"1": node("Value", value=1), "2": node("Fail", value=1), "3": node("Show", value=2)}
    result = Bench(BASIC).run(graph)
    assert result.executing == ["3"]


def test_only_the_outputs_asked_for_run() -> None:
    graph = {"1": node("Show", value=1), "2": node("Show", value=2)}
    assert Bench(BASIC).run(graph, "2").executing == ["2"]


def test_each_branch_runs_to_its_output_before_the_next_one_starts() -> None:
    graph: dict[str, Any] = {}
    for step in range(4):
        for branch in "ab":
            value: Any = [f"{branch}{step - 1}", 0] if step else branch
            graph[f"{branch}{step}"] = node("Show" if step == 3 else "Value", value=value)
    result = Bench(BASIC).run(graph)
    assert result.executing == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"]


def test_a_node_that_feeds_an_output_runs_before_one_that_does_not() -> None:
    graph = {
        "far": node("Value", value=1),
        "mid": node("Value", value=["far", 0]),
        "join": node("Join", a=["mid", 0], b=["near", 0]),
        "near": node("Value", value=2),
        "out": node("Show", value=["join", 0]),
    }
    assert Bench(BASIC).run(graph).executing == ["near", "far", "mid", "join", "out"]


def test_a_literal_in_the_form_of_a_link_stays_a_literal() -> None:
    graph = {
        "1": node("Value", value={"__value__": ["2", 0]}),
        "2": node("Show", value=["1", 0]),
    }
    assert Bench(BASIC).run(graph).finished.outputs == {"2": {"text": ["['2', 0]"]}}


def test_a_link_to_a_node_that_does_not_exist_is_a_literal() -> None:
    result = Bench(BASIC).run({"1": node("Show", value=["unknown", 0])})
    assert result.finished.outputs == {"1": {"text": ["['unknown', 0]"]}}


def test_undeclared_links_arrive_and_undeclared_literals_do_not() -> None:
    class Open(Show):
        def run(self, **inputs: Any) -> dict[str, Any]:  # type: ignore[override]
            return {"ui": {"names": sorted(inputs)}}

    graph = {
        "1": node("Value", value=1),
        "2": node("Open", value=1, extra=["1", 0], other=5),
    }
    result = Bench(BASIC | {"Open": Open}).run(graph, "2")
    assert result.finished.outputs == {"2": {"names": ["extra", "value"]}}


def test_an_output_beyond_those_returned_is_none() -> None:
    graph = {"1": node("Value", value=1), "2": node("Show", value=["1", 7])}
    assert Bench(BASIC).run(graph).finished.outputs == {"2": {"text": ["None"]}}


def test_an_output_node_without_ui_sends_no_executed_message() -> None:
    result = Bench(BASIC).run({"1": node("Quiet", value=1)}, "1")
    assert result.finished.succeeded
    assert result.of("executed") == []
    assert result.finished.outputs == {}


class Numbers(Value):
    """Gives a list of values."""

    OUTPUT_IS_LIST = (True,)

    def run(self, value: Any) -> tuple[Any]:
        """The numbers below the value."""
        return (list(range(value)),)


class Pair(Show):
    """Shows its two inputs."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """Two inputs."""
        return {"required": {"a": ANY, "b": ANY}}

    def run(self, a: Any, b: Any) -> dict[str, Any]:  # type: ignore[override]
        """Both."""
        return {"ui": {"text": [f"{a}/{b}"]}}


class Whole(Pair):
    """Takes whole lists."""

    INPUT_IS_LIST = True


LISTS = BASIC | {"Numbers": Numbers, "Pair": Pair, "Whole": Whole}


def test_shorter_lists_repeat_their_last_value() -> None:
    graph = {
        "1": node("Numbers", value=2),
        "2": node("Numbers", value=3),
        "3": node("Pair", a=["1", 0], b=["2", 0]),
    }
    result = Bench(LISTS).run(graph, "3")
    assert result.finished.outputs == {"3": {"text": ["0/0", "1/1", "1/2"]}}


def test_a_node_that_takes_lists_is_called_once_with_all_of_them() -> None:
    graph = {"1": node("Numbers", value=2), "2": node("Whole", a=["1", 0], b=5)}
    result = Bench(LISTS).run(graph, "2")
    assert result.finished.outputs == {"2": {"text": ["[0, 1]/[5]"]}}


def test_plain_outputs_of_mapped_calls_form_a_list_and_list_outputs_are_joined() -> None:
    graph = {
        "1": node("Numbers", value=3),
        "2": node("Numbers", value=["1", 0]),
        "3": node("Whole", a=["2", 0], b=0),
    }
    result = Bench(LISTS).run(graph, "3")
    assert result.finished.outputs == {"3": {"text": ["[0, 0, 1]/[0]"]}}


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (("x",), "x"),
        (["x"], "x"),
        ("xy", "x"),
        ({"result": ("x",)}, "x"),
        ({"ui": {"a": [1]}, "result": ("x",)}, "x"),
        ((), "None"),
        ({}, "None"),
        ({"ui": {"a": [1]}}, "None"),
    ],
)
def test_a_method_may_return(returned: Any, text: str) -> None:
    class Returns(Value):
        def run(self, value: Any) -> Any:
            return returned

    graph = {"1": node("Returns", value=0), "2": node("Show", value=["1", 0])}
    result = Bench(BASIC | {"Returns": Returns}).run(graph)
    assert result.finished.outputs["2"] == {"text": [text]}


def test_hidden_inputs_arrive() -> None:
    seen: dict[str, Any] = {}

    class Hidden(Show):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            kinds = ("PROMPT", "EXTRA_PNGINFO", "UNIQUE_ID", "DYNPROMPT", "API_KEY_COMFY_ORG")
            return {"required": {}, "hidden": {kind.lower(): kind for kind in kinds}}

        def run(self, **inputs: Any) -> None:  # type: ignore[override]
            seen.update(inputs)

    graph = {"7": node("Hidden")}
    bench = Bench({"Hidden": Hidden})
    bench.run(
        graph,
        "7",
        extra_data={"extra_pnginfo": {"workflow": 1}},
        secrets={"API_KEY_COMFY_ORG": "key"},
    )
    assert seen["prompt"] == graph
    assert seen["extra_pnginfo"] == {"workflow": 1}
    assert seen["unique_id"] == "7"
    assert seen["api_key_comfy_org"] == "key"
    assert seen["dynprompt"].get_node("7")["class_type"] == "Hidden"
    assert not seen["dynprompt"].has_node("8")


def test_a_raw_link_arrives_as_the_link_and_its_producer_runs() -> None:
    class Raw(Show):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"value": ("*", {"rawLink": True})}}

    graph = {"1": node("Value", value=1), "2": node("Raw", value=["1", 0])}
    result = Bench(BASIC | {"Raw": Raw}).run(graph, "2")
    assert result.finished.outputs == {"2": {"text": ["['1', 0]"]}}
    assert result.executing == ["1", "2"]


def test_node_objects_live_as_long_as_their_node_is_in_the_graph() -> None:
    class Counts(Show):
        def __init__(self) -> None:
            self.calls = 0

        def run(self, value: Any) -> dict[str, Any]:
            self.calls += 1
            return {"ui": {"calls": [self.calls]}}

    bench = Bench(BASIC | {"Counts": Counts})

    def calls(node_id: str, value: int) -> int:
        outputs = bench.run({node_id: node("Counts", value=value)}, node_id).finished.outputs
        count: int = outputs[node_id]["calls"][0]
        return count

    assert [calls("1", 1), calls("1", 2), calls("2", 3), calls("1", 4)] == [1, 2, 1, 1]


def test_a_chain_of_ten_thousand_nodes_runs() -> None:
    graph = {"0": node("Value", value=1)}
    for number in range(1, 10_000):
        graph[str(number)] = node("Value", value=[str(number - 1), 0])
    graph["end"] = node("Show", value=["9999", 0])
    bench = Bench(BASIC)
    assert bench.run(graph).finished.outputs == {"end": {"text": ["1"]}}
    assert len(bench.run(graph).cached) == 10_001
