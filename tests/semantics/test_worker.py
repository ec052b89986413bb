"""What only a real worker shows: a pack of odd nodes, run in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from executor.messages import Call, Emit, Event, Finished, Ready, Reply
from executor.worker_config import WorkerConfig
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node

PACK = """
import os, sys, threading
import torch

CHOICES = ["one"]


class Base:
    RETURN_TYPES = ("*",)
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("*",)}}


class Surroundings(Base):
    def run(self, value):
        state = [torch.is_grad_enabled(), torch.is_inference_mode_enabled()]
        here = threading.current_thread() is threading.main_thread()
        return {"ui": {"state": state, "here": [here]}, "result": (1,)}


class Odd(Base):
    def run(self, value):
        if value == "ui":
            return {"ui": {"things": [object()]}}
        if value == "exit":
            sys.exit(3)
        if value == "tensor":
            return torch.zeros(2)
        return {"expand": {"x": 1}}


class OddLater(Base):
    async def run(self, value):
        sys.exit(4)


class Chooses(Base):
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (list(CHOICES),)}}

    def run(self, value):
        CHOICES.append("two")
        return (value,)


class Any(str):
    def __ne__(self, other):
        return False


class Smart(Base):
    RETURN_TYPES = (Any("THING"),)

    @classmethod
    def VALIDATE_INPUTS(cls, value):
        if value == "exit":
            raise KeyboardInterrupt
        return True

    def run(self, value):
        return (value,)


NODE_CLASS_MAPPINGS = {x.__name__: x for x in (Surroundings, Odd, OddLater, Chooses, Smart)}
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Ready]]:
    """A worker that has loaded the pack."""
    base = tmp_path_factory.mktemp("base")
    (base / "custom_nodes").mkdir()
    (base / "custom_nodes" / "odd_nodes.py").write_text(PACK)
    config = WorkerConfig(base=str(base), cpu=True)
    with worker("executor.worker", "--config", config.to_json()) as client:
        yield client, client.wait_for(Ready)


@pytest.fixture
def client(started: tuple[Client, Ready]) -> Client:
    """Its client."""
    return started[0]


def finish(events: list[Event]) -> Finished:
    """The last event of a run."""
    assert isinstance(events[-1], Finished)
    return events[-1]


def ask(client: Client, method: str, **arguments: Any) -> Any:
    """The answer to a call."""
    client.send(Call(call_id=1, method=method, arguments=arguments))
    reply = client.wait_for(Reply)
    assert reply.error is None
    return reply.result


def test_nodes_run_without_gradients(client: Client) -> None:
    graph = {"1": node("Surroundings", value=1)}
    outputs = finish(client.run(graph, "1")).outputs
    assert outputs["1"] == {"state": [False, True], "here": [True]}


@pytest.mark.parametrize("name", ["Odd", "OddLater"])
@pytest.mark.parametrize("value", ["ui", "exit", "tensor", "expand"])
def test_no_result_ends_the_worker(client: Client, name: str, value: str) -> None:
    events = client.run({"9": node(name, value=value)}, "9")
    error = finish(events).messages[-1][1]
    assert not finish(events).succeeded
    assert (error["node_id"], error["node_type"]) == ("9", name)
    told = [json.loads(event.text) for event in events if isinstance(event, Emit)]
    assert told[-1] == {"type": "execution_error", "data": error}
    assert finish(client.run({"1": node("Smart", value=1)}, "1")).succeeded
    assert client.process.poll() is None


def test_a_check_that_leaves_does_not_keep_the_next_one_from_being_answered(client: Client) -> None:
    for value, is_fine in (("exit", False), ("fine", True)):
        answer = ask(client, "validate_inputs", class_type="Smart", inputs={"value": value})
        assert answer["ok"] is is_fine


def test_a_class_says_anew_what_it_offers(client: Client) -> None:
    (described,) = ask(client, "describe", names=["Chooses"])
    assert described["info"]["input"] == {"required": {"value": [["one"]]}}
    assert finish(client.run({"1": node("Chooses", value="one")}, "1")).succeeded
    described = ask(client, "describe", names=["Chooses", "Smart"])[0]
    assert described["info"]["input"]["required"]["value"] == [["one", "two"]]


def test_types_of_own_classes_are_published(started: tuple[Client, Ready]) -> None:
    definitions = {x["name"]: x for x in started[1].definitions or []}
    assert definitions["Smart"]["info"]["output"] == ["THING"]
    assert definitions["Smart"]["equal_types"] == {"THING": ["*"]}
