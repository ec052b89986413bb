"""The threads around the engine, in a process of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from executor.messages import (
    Call,
    Emit,
    Execute,
    Finished,
    Free,
    Heartbeat,
    Interrupt,
    Progress,
    Ready,
    Reply,
    Stop,
)
from tests.executor.worker.client import Client, worker
from tests.executor.worker.harness import node

SCRIPTED = "tests.executor.worker.scripted_worker"
ENDLESS = 100_000  # steps: minutes, if nothing stops them


@pytest.fixture
def client() -> Iterator[Client]:
    """A worker that is ready."""
    with worker(SCRIPTED) as connected:
        connected.wait_for(Ready)
        yield connected


def endless(client: Client, prompt_id: str = "long") -> None:
    """Start a prompt that does not end by itself, and wait until it works."""
    graph = {"1": node("Steps", value=ENDLESS), "2": node("Show", value=["1", 0])}
    client.send(Execute(prompt_id=prompt_id, prompt=graph, outputs=["2"], extra_data={}))
    client.wait_for(Progress)


def check(client: Client, call_id: int, value: object) -> Reply:
    """Ask for the check of a class."""
    arguments = {"class_type": "Checked", "inputs": {"value": value}}
    client.send(Call(call_id=call_id, method="validate_inputs", arguments=arguments))
    return client.wait_for(Reply)


def test_a_prompt_runs_and_ends_with_finished(client: Client) -> None:
    graph = {"1": node("Value", value=3), "2": node("Show", value=["1", 0])}
    events = client.run(graph, "2")
    assert isinstance(events[-1], Finished)
    assert events[-1].outputs == {"2": {"text": ["3"]}}
    first = events[0]
    assert isinstance(first, Emit)
    assert json.loads(first.text)["type"] == first.type == "execution_start"


def test_prompts_that_come_together_run_one_after_another(client: Client) -> None:
    for number in range(5):
        graph = {"1": node("Show", value=number)}
        client.send(Execute(prompt_id=str(number), prompt=graph, outputs=["1"], extra_data={}))
    finished = [client.wait_for(Finished) for _ in range(5)]
    assert [event.prompt_id for event in finished] == ["0", "1", "2", "3", "4"]


def test_what_nodes_print_does_not_disturb_the_messages(client: Client) -> None:
    events = client.run({"1": node("Noisy", value=1)}, "1")
    assert isinstance(events[-1], Finished)
    assert events[-1].outputs == {"1": {"text": ["quiet"]}}


def test_an_interrupt_stops_a_working_node_at_once(client: Client) -> None:
    endless(client)
    client.send(Interrupt(prompt_id="long"))
    assert client.wait_for(Finished).interrupted
    assert isinstance(client.run({"1": node("Show", value=1)}, "1")[-1], Finished)


def test_an_interrupt_of_another_prompt_leaves_the_running_one_alone(client: Client) -> None:
    graph = {"1": node("Steps", value=10), "2": node("Show", value=["1", 0])}
    client.send(Interrupt(prompt_id="other"))
    events = client.run(graph, "2")
    assert isinstance(events[-1], Finished)
    assert events[-1].succeeded


def test_an_interrupt_hits_a_prompt_that_still_waits(client: Client) -> None:
    endless(client)
    client.send(
        Execute(prompt_id="next", prompt={"1": node("Show", value=1)}, outputs=["1"], extra_data={})
    )
    client.send(Interrupt(prompt_id="next"))
    client.send(Interrupt(prompt_id="long"))
    assert client.wait_for(Finished).prompt_id == "long"
    assert client.wait_for(Finished).interrupted


def test_calls_are_answered_while_a_prompt_runs(client: Client) -> None:
    endless(client)
    assert check(client, 1, 5).result["ok"] is True
    reply = check(client, 2, 13)
    assert (reply.call_id, reply.error) == (2, None)
    assert (reply.result["ok"], reply.result["text"]) == (False, "unlucky")


def test_an_exception_in_a_check_is_described(client: Client) -> None:
    result = check(client, 1, "raise").result
    assert result["ok"] is False
    assert (result["exception_type"], result["exception_message"]) == ("LookupError", "nowhere")
    assert any("raise LookupError" in line for line in result["traceback"])


def test_a_call_that_cannot_be_answered_gives_an_error(client: Client) -> None:
    client.send(Call(call_id=9, method="validate_inputs", arguments={"class_type": "Checked"}))
    reply = client.wait_for(Reply)
    assert reply.call_id == 9
    assert reply.error is not None
    assert "inputs" in reply.error


def test_heartbeats_go_on_while_a_node_works(client: Client) -> None:
    endless(client)
    client.wait_for(Heartbeat)
    client.wait_for(Heartbeat)


def test_a_node_that_exits_fails_its_prompt_only(client: Client) -> None:
    graph = {"1": node("Leave", value=1), "2": node("Show", value=["1", 0])}
    finished = client.run(graph, "2")[-1]
    assert isinstance(finished, Finished)
    assert finished.messages[-1][1]["exception_type"] == "SystemExit"
    assert isinstance(client.run({"1": node("Show", value=1)}, "1")[-1], Finished)


def test_free_memory_forgets_results(client: Client) -> None:
    graph = {"1": node("Show", value=1)}
    client.run(graph, "1")
    client.send(Free(free_memory=True))
    started = [event.type for event in client.run(graph, "1") if isinstance(event, Emit)]
    assert "executing" in started


def test_progress_of_a_long_node_is_coalesced_and_its_last_step_is_sent(client: Client) -> None:
    graph = {"1": node("Steps", value=100), "2": node("Show", value=["1", 0])}
    events = client.run(graph, "2")
    texts = [json.loads(event.text) for event in events if isinstance(event, Emit)]
    progress = [text["data"]["value"] for text in texts if text["type"] == "progress"]
    assert progress == sorted(progress)
    assert progress[-1] == 100
    assert 2 <= len(progress) <= 60
    kinds = [text["type"] for text in texts]
    assert kinds[-2:] == ["progress_state", "execution_success"]


@pytest.mark.parametrize("is_busy", [False, True])
def test_the_process_ends_when_the_server_is_gone(client: Client, is_busy: bool) -> None:
    if is_busy:
        endless(client)
    client.hang_up()
    assert client.process.wait(30) == 0


def test_what_is_done_at_the_end_is_done_wholly(tmp_path: Path) -> None:
    """Whichever thread notices first that the server is gone."""
    file = tmp_path / "done"
    with worker(SCRIPTED, "--at-end", str(file)) as client:
        endless(client)
        client.hang_up()
        client.process.wait(30)
    assert file.exists()


def test_the_process_ends_when_it_is_told_to_in_the_midst_of_a_prompt(client: Client) -> None:
    endless(client)
    client.send(Stop())
    assert client.process.wait(30) == 0
