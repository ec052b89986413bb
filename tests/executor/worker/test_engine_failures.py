"""Errors, interruptions and blocked branches."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from executor.messages import frame
from executor.worker.interruptions import Interruptions
from executor.worker.memory import memory_advice
from executor.worker_config import WorkerConfig
from nodes.blocker import ExecutionBlocker
from nodes.context import current_context
from tests.executor.worker.harness import ANY, BASIC, Bench, Show, Value, node


class Raises(Value):
    """Raises the class that its test sets."""

    error: BaseException = ValueError("bad value")

    def run(self, value: Any) -> tuple[Any]:
        """Raise it."""
        raise self.error


def fail_with(error: BaseException, **options: Any) -> Any:
    """The run of a graph whose node "2" raises."""
    kind = type("Raises", (Raises,), {"error": error})
    graph = {
        "1": node("Value", value=5),
        "2": node("Raises", value=["1", 0]),
        "3": node("Show", value=["2", 0]),
    }
    return Bench(BASIC | {"Raises": kind}, **options).run(graph)


def test_an_error_has_all_documented_fields() -> None:
    result = fail_with(ValueError("bad value"))
    assert result.types[-1] == "execution_error"
    error = result.error
    assert error == result.of("execution_error")[0]
    assert error["prompt_id"] == "p"
    assert (error["node_id"], error["node_type"]) == ("2", "Raises")
    assert error["executed"] == ["1"]
    assert error["exception_message"] == "bad value\n"
    assert error["exception_type"] == "ValueError"
    assert any("raise self.error" in line for line in error["traceback"])
    assert error["current_inputs"] == {"value": [5]}
    assert error["current_outputs"] == ["1"]
    assert isinstance(error["timestamp"], int)
    assert not result.finished.succeeded
    assert not result.finished.interrupted


def test_inputs_that_are_no_json_are_printed() -> None:
    class Thing:
        def __str__(self) -> str:
            return "a thing"

    class Gives(Value):
        def run(self, value: Any) -> tuple[Any]:
            return (Thing(),)

    graph = {
        "1": node("Gives", value=1),
        "2": node("Fail", value=["1", 0]),
        "3": node("Show", value=["2", 0]),
    }
    result = Bench(BASIC | {"Gives": Gives}).run(graph)
    assert result.error["current_inputs"] == {"value": ["a thing"]}


def test_numbers_and_texts_that_no_message_can_carry_are_printed() -> None:
    graph = {"1": node("Fail", value="\ud800"), "2": node("Show", value=["1", 0])}
    error = Bench(BASIC).run(graph).error
    assert error["current_inputs"] == {"value": ["\\ud800"]}
    assert error["exception_message"] == "cannot take \\ud800\n"
    graph["1"] = node("Fail", value=2**70)
    assert Bench(BASIC).run(graph).error["current_inputs"] == {"value": [str(2**70)]}


def test_an_exception_class_outside_of_the_builtins_has_its_module() -> None:
    error = fail_with(json.JSONDecodeError("no", "x", 0)).error
    assert error["exception_type"] == "json.decoder.JSONDecodeError"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), RecursionError()])
def test_whatever_a_node_raises_ends_its_prompt_only(error: BaseException) -> None:
    assert fail_with(error).error["exception_type"] == type(error).__name__


def test_out_of_memory_unloads_models_and_gives_advice() -> None:
    class OutOfMemoryError(RuntimeError):
        """Named as torch names it."""

    unloaded: list[bool] = []
    error = fail_with(
        OutOfMemoryError("CUDA out of memory"), on_out_of_memory=lambda: unloaded.append(True)
    ).error
    assert unloaded == [True, True]  # before the second call, and at the end
    assert error["exception_message"].startswith("CUDA out of memory\n")
    assert "smaller size" in error["exception_message"]


def test_what_torch_says_of_the_machine_s_memory_is_out_of_memory_as_well() -> None:
    error = fail_with(RuntimeError("DefaultCPUAllocator: can't allocate memory")).error
    assert "All models were unloaded" in error["exception_message"]


@pytest.mark.parametrize(
    ("config", "advice"),
    [
        (WorkerConfig(base="b", cpu=True), "--max-ram"),
        (WorkerConfig(base="b"), "--lowvram"),
        (WorkerConfig(base="b", vram_mode="low"), "--novram"),
        (WorkerConfig(base="b", vram_mode="none"), "--cpu"),
    ],
)
def test_advice_goes_beyond_the_mode_that_is_used(config: WorkerConfig, advice: str) -> None:
    assert advice in memory_advice(config)


@pytest.mark.parametrize("kind", [MemoryError, type("OutOfMemoryError", (RuntimeError,), {})])
def test_a_node_that_runs_out_of_memory_is_called_again_once_it_was_freed(
    kind: type[Exception],
) -> None:
    is_freed: list[bool] = []

    class Large(Value):
        def run(self, value: Any) -> Any:
            if not is_freed:
                raise kind("no room")
            return (value,)

    bench = Bench(BASIC | {"Large": Large}, on_out_of_memory=lambda: is_freed.append(True))
    ran = bench.run({"1": node("Large", value=5), "2": node("Show", value=["1", 0])})
    assert ran.finished.succeeded
    assert is_freed == [True]


def test_a_failure_does_not_disturb_the_next_run() -> None:
    bench = Bench(BASIC)
    bench.run({"1": node("Fail", value=1), "2": node("Show", value=["1", 0])})
    assert bench.run({"1": node("Show", value=1)}).finished.succeeded


def test_none_from_a_node_with_outputs_is_a_type_error() -> None:
    class Nothing(Value):
        def run(self, value: Any) -> Any:
            return None

    graph = {"1": node("Nothing", value=1), "2": node("Show", value=["1", 0])}
    error = Bench(BASIC | {"Nothing": Nothing}).run(graph).error
    assert (error["node_id"], error["exception_type"]) == ("1", "TypeError")


def test_a_ui_that_is_no_json_fails_the_prompt_and_names_the_node() -> None:
    class Odd(Show):
        def run(self, value: Any) -> dict[str, Any]:
            return {"ui": {"things": [object()]}}

    error = Bench(BASIC | {"Odd": Odd}).run({"4": node("Odd", value=1)}, "4").error
    assert error["node_id"] == "4"
    assert "JSON" in error["exception_message"]


def test_of_very_many_arguments_only_the_types_are_told() -> None:
    class Takes(Show):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {f"x{i}": ("STRING", {}) for i in range(30)}}

        def run(self, **inputs: str) -> dict[str, Any]:  # type: ignore[override]
            raise ValueError("no")

    inputs = {f"x{i}": "x" * 100_000 for i in range(30)}
    error = Bench(BASIC | {"Takes": Takes}).run({"4": node("Takes", **inputs)}, "4").error
    shown = error["current_inputs"]
    assert shown["x0"][0].endswith("(34464 more characters)")
    assert shown["x29"] == ["<str>"]


def test_a_ui_without_end_fails_the_prompt() -> None:
    class Endless(Show):
        def run(self, value: Any) -> dict[str, Any]:
            return {"ui": {"things": itertools.count()}}

    error = Bench(BASIC | {"Endless": Endless}).run({"4": node("Endless", value=1)}, "4").error
    assert error["node_id"] == "4"
    assert "more than 1,000,000 items" in error["exception_message"]


def test_nan_in_a_ui_breaks_nothing() -> None:
    class Odd(Show):
        def run(self, value: Any) -> dict[str, Any]:
            return {"ui": {"numbers": [float("nan"), 1]}}

    result = Bench(BASIC | {"Odd": Odd}).run({"4": node("Odd", value=1)}, "4")
    assert result.finished.outputs == {"4": {"numbers": [None, 1]}}


def test_a_graph_of_an_unknown_class_fails_with_its_node() -> None:
    error = Bench(BASIC).run({"1": node("Nowhere")}, "1").error
    assert error["node_id"] == "1"
    assert "Nowhere" in error["exception_message"]


def test_an_interrupt_stops_the_run_at_the_next_node() -> None:
    class Stops(Value):
        def run(self, value: Any) -> tuple[Any]:
            bench.engine.interrupt("p")
            return (value,)

    bench = Bench(BASIC | {"Stops": Stops})
    graph = {"1": node("Stops", value=1), "2": node("Show", value=["1", 0])}
    result = bench.run(graph)
    finished = result.finished
    assert (finished.succeeded, finished.interrupted) == (False, True)
    name, body = finished.messages[-1]
    assert name == "execution_interrupted"
    assert body == result.of("execution_interrupted")[0]
    assert (body["node_id"], body["node_type"], body["executed"]) == ("2", "Show", ["1"])
    assert bench.run(graph, prompt_id="q").finished.succeeded


def test_an_interrupt_stops_a_node_that_reports_progress() -> None:
    class Steps(Value):
        def run(self, value: Any) -> tuple[Any]:
            for step in range(10):
                steps.append(step)
                if step == 3:
                    bench.engine.interrupt("p")
                current_context().report(step + 1, 10)
            return (value,)

    steps: list[int] = []
    bench = Bench(BASIC | {"Steps": Steps})
    graph = {"1": node("Steps", value=1), "2": node("Show", value=["1", 0])}
    assert bench.run(graph).finished.interrupted
    assert steps == [0, 1, 2, 3]


def test_an_interrupt_of_another_prompt_or_while_idle_has_no_effect() -> None:
    bench = Bench(BASIC)
    bench.engine.interrupt("p")
    assert bench.run({"1": node("Show", value=1)}).finished.succeeded


def test_an_interrupt_of_an_accepted_prompt_hits_it_when_it_starts() -> None:
    interruptions = Interruptions()
    interruptions.accept("p")
    interruptions.interrupt("p")
    bench = Bench(BASIC, interruptions=interruptions)
    assert bench.run({"1": node("Show", value=1)}).finished.interrupted


class Blocks(Value):
    """Blocks odd numbers."""

    def run(self, value: Any) -> tuple[Any]:
        """The number, or a blocker."""
        blocker = ExecutionBlocker("odd" if value > 10 else None)
        return (blocker if value % 2 else value,)


class Numbers(Value):
    """Gives numbers."""

    OUTPUT_IS_LIST = (True,)

    def run(self, value: Any) -> tuple[Any]:
        """Three of them."""
        return ([value, value + 1, value + 2],)


BLOCKING = BASIC | {"Blocks": Blocks, "Numbers": Numbers}


def test_a_blocked_node_is_not_called_and_the_run_succeeds() -> None:
    graph = {
        "1": node("Blocks", value=1),
        "2": node("Value", value=["1", 0]),
        "3": node("Show", value=["2", 0]),
    }
    result = Bench(BLOCKING).run(graph)
    assert result.finished.succeeded
    assert result.finished.outputs == {}
    assert result.of("execution_error", "executed") == []


def test_the_first_consumer_reports_the_message_of_a_blocker_once() -> None:
    graph = {
        "1": node("Blocks", value=11),
        "2": node("Value", value=["1", 0]),
        "3": node("Show", value=["2", 0]),
    }
    result = Bench(BLOCKING).run(graph)
    (error,) = result.of("execution_error")
    assert (error["node_id"], error["exception_type"]) == ("2", "ExecutionBlocked")
    assert "odd" in error["exception_message"]
    assert "timestamp" not in error
    assert [name for name, _ in result.finished.messages][-1] == "execution_success"


def test_only_the_blocked_ones_of_mapped_calls_are_left_out() -> None:
    graph = {
        "1": node("Numbers", value=2),
        "2": node("Blocks", value=["1", 0]),
        "3": node("Show", value=["2", 0]),
    }
    result = Bench(BLOCKING).run(graph)
    assert result.finished.outputs == {"3": {"text": ["2", "4"]}}


def test_one_blocker_blocks_a_node_that_takes_lists() -> None:
    class Whole(Show):
        INPUT_IS_LIST = True

    graph = {
        "1": node("Numbers", value=2),
        "2": node("Blocks", value=["1", 0]),
        "3": node("Whole", value=["2", 0]),
    }
    result = Bench(BLOCKING | {"Whole": Whole}).run(graph, "3")
    assert result.finished.outputs == {}


def test_a_blocker_as_the_whole_result_blocks_every_output() -> None:
    class All(Value):
        RETURN_TYPES = ("*", "*")

        def run(self, value: Any) -> Any:
            return ExecutionBlocker(None)

    graph = {"1": node("All", value=1), "2": node("Show", value=["1", 1])}
    result = Bench(BASIC | {"All": All}).run(graph)
    assert result.finished.outputs == {}


class Lazy(Value):
    """Asks for one of two lazy inputs."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """A switch."""
        lazy = ("*", {"lazy": True})
        return {"required": {"first": ANY, "a": lazy, "b": lazy}}

    def check_lazy_status(self, first: bool, a: Any = None, b: Any = None) -> list[str]:
        """The branch that is wanted."""
        return ["a"] if first else ["b"]

    def run(self, first: bool, a: Any = None, b: Any = None) -> tuple[Any]:
        """Both branches."""
        return ((a, b),)


@pytest.mark.parametrize(("first", "shown"), [(True, "(1, None)"), (False, "(None, 2)")])
def test_only_the_lazy_input_that_is_asked_for_is_evaluated(first: bool, shown: str) -> None:
    graph = {
        "a": node("Value", value=1),
        "b": node("Value", value=2),
        "if": node("Lazy", first=first, a=["a", 0], b=["b", 0]),
        "out": node("Show", value=["if", 0]),
    }
    result = Bench(BASIC | {"Lazy": Lazy}).run(graph)
    assert result.finished.outputs == {"out": {"text": [shown]}}
    wanted = "a" if first else "b"
    assert result.executing == ["if", wanted, "if", "out"]


def test_lazy_inputs_of_a_class_without_a_check_are_none() -> None:
    class Careless(Show):
        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {"value": ("*", {"lazy": True})}}

    graph = {"1": node("Value", value=1), "2": node("Careless", value=["1", 0])}
    result = Bench(BASIC | {"Careless": Careless}).run(graph, "2")
    assert result.executing == ["2"]
    assert result.finished.outputs == {"2": {"text": ["None"]}}


def test_asking_for_an_input_that_is_not_there_fails() -> None:
    class Greedy(Lazy):
        def check_lazy_status(self, **inputs: Any) -> list[str]:  # type: ignore[override]
            return ["c"]

    graph = {
        "a": node("Value", value=1),
        "if": node("Greedy", first=True, a=["a", 0]),
        "out": node("Show", value=["if", 0]),
    }
    error = Bench(BASIC | {"Greedy": Greedy}).run(graph).error
    assert error["node_id"] == "if"
    assert error["exception_type"] == "comfy_execution.graph.NodeInputError"


def test_an_integer_in_a_ui_that_cannot_cross_to_the_server_fails_the_prompt() -> None:
    class Odd(Show):
        def run(self, value: Any) -> dict[str, Any]:
            return {"ui": {"numbers": [2**70]}}

    result = Bench(BASIC | {"Odd": Odd}).run({"4": node("Odd", value=1)}, "4")
    assert result.error["node_id"] == "4"
    assert frame(result.finished)


def test_progress_that_comes_late_does_not_start_a_node_again() -> None:
    class First(Value):
        def run(self, value: Any) -> tuple[Any]:
            return (current_context(),)

    class Late(Show):
        def run(self, value: Any) -> dict[str, Any]:
            value.report(1, 5)
            return {"ui": {}}

    graph = {"1": node("First", value=1), "2": node("Late", value=["1", 0])}
    result = Bench(BASIC | {"First": First, "Late": Late}).run(graph, "2")
    states = result.of("progress_state")[-1]["nodes"]
    assert {node_id: state["state"] for node_id, state in states.items()} == {
        "1": "finished",
        "2": "finished",
    }
