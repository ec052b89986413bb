"""Every message of the WebSocket has the form that the API's description gives it."""

from __future__ import annotations

import uuid
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from server.api_document import read_document
from server.app import route_scopes
from tests.client import Client, Listener
from tests.server.conftest import Place
from tests.server.graphs import fresh_graph, graph, release, slow_graph

COMPONENTS: Final = read_document(route_scopes())["components"]


@pytest.fixture(params=["twin_place", "process_place"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def check(message: dict[str, Any], schema: str = "WebSocketMessage") -> None:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    Draft202012Validator({"allOf": [reference], "components": COMPONENTS}).validate(message)


def checked_kinds(listener: Listener) -> set[str]:
    for message in listener.messages:
        check(message)
    return {message["type"] for message in listener.messages}


def test_messages_of_a_job_that_succeeds(server: Client) -> None:
    with server.listen() as listener:
        listener.send({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        prompt = fresh_graph()
        for _ in range(2):  # the second time from the cache
            listener.wait_for_end(server.submit(prompt))
        assert checked_kinds(listener) >= {
            *("status", "feature_flags", "execution_start", "execution_cached", "executing"),
            *("executed", "execution_success"),
        }


def test_messages_of_a_job_that_is_interrupted(server: Client) -> None:
    with server.listen() as listener:
        prompt_id = server.submit(slow_graph(240))
        listener.wait_for("executing", prompt_id)
        server.post("/interrupt")
        listener.wait_for_end(prompt_id)
        assert "execution_interrupted" in checked_kinds(listener)


def test_messages_of_a_job_that_is_cancelled_before_it_runs(server: Client, busy: str) -> None:
    with server.listen() as listener:
        for way in ("queue", "jobs", "clear"):
            prompt_id = server.submit(fresh_graph())
            if way == "jobs":
                server.post(f"/api/jobs/{prompt_id}/cancel")
            else:
                server.post(
                    "/queue", {"clear": True} if way == "clear" else {"delete": [prompt_id]}
                )
            assert set(listener.wait_for("execution_cancelled", prompt_id)) == {
                *("prompt_id", "timestamp")
            }
        checked_kinds(listener)
    release(server, busy)


def test_messages_to_a_client_that_comes_back(server: Client) -> None:
    with server.listen() as first:
        prompt_id = server.submit(slow_graph(240))
        first.wait_for("executing", prompt_id)
        with server.listen() as second:
            second.wait_for("executing")
            server.post("/interrupt")
            second.wait_for_end(prompt_id)
            checked_kinds(second)


def test_messages_of_a_job_that_fails(process_place: Place) -> None:
    server = Client(process_place.address)
    name = f"{uuid.uuid4().hex}.png"
    server.upload("/upload/image", name, b"no picture")
    prompt = graph()
    prompt["1"] = {"class_type": "LoadImage", "inputs": {"image": name}}
    with server.listen() as listener:
        prompt_id = server.submit(prompt)
        error = listener.wait_for("execution_error", prompt_id)
        listener.wait_for_end(prompt_id)
        assert {"execution_error", "progress_state"} <= checked_kinds(listener)
    assert (error["node_id"], error["node_type"]) == ("1", "LoadImage")
    check({"type": "execution_error", "data": error}, "MessageExecutionError")
