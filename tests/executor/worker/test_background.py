"""Nodes that write files run beside others, and count as run when their files are there."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from executor.messages import Emit, Event, Execute, Finished
from executor.worker.background import Background
from executor.worker.interruptions import Interruptions
from tests.executor.worker.harness import BASIC, Bench, Show, Value, node

DEADLINE_S = 20.0


@dataclass
class Stage:
    """What the nodes of a test share."""

    go: threading.Event = field(default_factory=threading.Event)
    log: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, text: str) -> None:
        with self.lock:
            self.log.append(text)


def classes(stage: Stage) -> dict[str, Any]:
    class Save(Show):
        """Writes for as long as the stage says."""

        IN_BACKGROUND = True

        def run(self, value: Any) -> dict[str, Any]:
            assert stage.go.wait(DEADLINE_S)
            stage.note(f"saved {value}")
            if value == "bad":
                raise OSError("the disk is full")
            return {"ui": {"files": [value]}}

    class Go(Value):
        """A node that lets files be written."""

        def run(self, value: Any) -> tuple[Any]:
            stage.note("computed")
            stage.go.set()
            return (value,)

    return {**BASIC, "Save": Save, "Go": Go}


GRAPH = {
    "save": node("Save", value="a"),
    "go": node("Go", value=1),
    "show": node("Show", value=["go", 0]),
}


def bench(stage: Stage, most: int = 4, **more: Any) -> Bench:
    return Bench(classes(stage), most_pending_saves=most, **more)


def test_the_next_node_runs_while_a_file_is_written() -> None:
    stage = Stage()
    result = bench(stage).run(GRAPH, "save", "show")
    assert stage.log == ["computed", "saved a"]
    assert result.finished.succeeded
    assert result.finished.outputs == {"save": {"files": ["a"]}, "show": {"text": ["1"]}}


def test_a_file_is_shown_once_and_before_the_run_is_over() -> None:
    result = bench(Stage()).run(GRAPH, "save", "show")
    assert [body["node"] for body in result.of("executed")].count("save") == 1
    assert result.types[-1] == "execution_success"


def test_a_file_is_shown_while_a_later_node_still_computes() -> None:
    stage = Stage()
    stage.go.set()
    shown = threading.Event()

    class Long(Value):
        def run(self, value: Any) -> tuple[Any]:
            assert shown.wait(DEADLINE_S)
            return (value,)

    machine = Bench({**classes(stage), "Long": Long}, most_pending_saves=4)
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, Emit) and event.type == "executed":
            shown.set()

    graph = {"save": GRAPH["save"], "long": node("Long", value=1)}
    graph["show"] = node("Quiet", value=["long", 0])
    machine.engine.execute(
        Execute(prompt_id="p", prompt=graph, outputs=["save", "show"], extra_data={}, secrets={}),
        emit,
    )
    assert isinstance(events[-1], Finished) and events[-1].succeeded


def test_a_file_that_cannot_be_written_fails_the_prompt() -> None:
    graph = {**GRAPH, "save": node("Save", value="bad")}
    error = bench(Stage()).run(graph, "save", "show").error
    assert (error["node_id"], error["exception_type"]) == ("save", "OSError")
    assert error["exception_message"] == "the disk is full\n"
    assert error["current_inputs"] == {"value": ["bad"]}


def test_files_are_written_in_the_order_of_their_nodes() -> None:
    stage = Stage()
    stage.go.set()
    graph = {str(i): node("Save", value=f"{i}") for i in range(6)}
    bench(stage, most=2).run(graph, *graph)
    assert stage.log == [f"saved {i}" for i in range(6)]


def test_what_uses_the_result_of_a_saving_node_waits_for_its_file() -> None:
    stage = Stage()
    stage.go.set()

    class Pass(Value):
        IN_BACKGROUND = True

        def run(self, value: Any) -> tuple[Any]:
            stage.note("written")
            return (value,)

    machine = Bench({**classes(stage), "Pass": Pass}, most_pending_saves=4)
    graph = {"pass": node("Pass", value=7), "show": node("Show", value=["pass", 0])}
    assert machine.run(graph).finished.outputs == {"show": {"text": ["7"]}}
    assert stage.log == ["written"]


def test_equal_nodes_write_one_file() -> None:
    stage = Stage()
    equal = {"save": GRAPH["save"], "again": node("Save", value="a"), "go": GRAPH["go"]}
    result = bench(stage).run({**equal, "show": GRAPH["show"]}, "save", "again", "show")
    assert stage.log == ["computed", "saved a"]
    assert result.finished.outputs["again"] == result.finished.outputs["save"] == {"files": ["a"]}
    assert [body["node"] for body in result.of("executed")].count("again") == 1


def test_without_room_for_pending_files_each_is_written_before_the_next_node() -> None:
    stage = Stage()
    stage.go.set()
    bench(stage, most=0).run(GRAPH, "save", "show")
    assert stage.log == ["saved a", "computed"]


def test_a_pack_that_overrides_the_method_is_called_as_ever() -> None:
    stage = Stage()
    stage.go.set()
    threads = []
    save = classes(stage)["Save"]

    class Own(save):  # type: ignore[misc, valid-type]
        FUNCTION = "write"

        def write(self, value: Any) -> Any:
            threads.append(threading.current_thread())
            return self.run(value)

    Bench({"Own": Own}, most_pending_saves=4).run({"1": node("Own", value="a")}, "1")
    assert threads == [threading.current_thread()]


def test_an_interrupted_prompt_writes_no_files_that_still_wait() -> None:
    stage = Stage()
    interruptions = Interruptions()

    class Stop(Value):
        def run(self, value: Any) -> tuple[Any]:
            interruptions.interrupt("p")
            stage.go.set()
            return (value,)

    machine = Bench(
        {**classes(stage), "Stop": Stop}, most_pending_saves=4, interruptions=interruptions
    )
    graph = {str(i): node("Save", value=f"{i}") for i in range(3)}
    graph |= {"stop": node("Stop", value=1), "show": node("Show", value=["stop", 0])}
    result = machine.run(graph, *"012", "show")
    assert result.finished.interrupted
    assert stage.log == ["saved 0"]


def test_no_more_calls_than_allowed_are_unfinished() -> None:
    background, gate, checks = Background(2), threading.Event(), []
    for _ in range(2):
        background.wait_for_room(lambda: pytest.fail("there is room"))
        background.add(lambda: gate.wait(DEADLINE_S))

    def check() -> None:
        checks.append(1)
        gate.set()

    background.wait_for_room(check)
    background.close()
    assert checks
