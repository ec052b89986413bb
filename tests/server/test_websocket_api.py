"""What clients see on their WebSocket, on the twin and on a real server."""

from __future__ import annotations

import io
import json
import struct
import uuid
from typing import Any

import pytest
import websocket
from PIL import Image

from tests.client import Client, wait_until
from tests.conftest import ROOT, ServerProcess
from tests.server.conftest import Place
from tests.server.graphs import fresh_graph, slow_graph


@pytest.fixture(params=["twin_place", "process_place"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


def test_the_first_message_is_a_status_with_the_id(server: Client) -> None:
    with server.listen("some id", greet=False) as listener:
        message = listener.receive()
    assert isinstance(message, dict)
    assert message["type"] == "status"
    assert message["data"]["sid"] == "some id"
    assert message["data"]["status"]["exec_info"]["queue_remaining"] >= 0


def test_the_prefix_api_works_too(server: Client) -> None:
    url = f"ws{server.address.removeprefix('http')}/api/ws"
    socket = websocket.create_connection(url, timeout=10)
    assert '"sid"' in str(socket.recv())
    socket.close()


def test_the_messages_of_a_job_come_in_the_documented_order(server: Client) -> None:
    with server.listen() as listener:
        prompt_id = server.submit(fresh_graph())
        listener.wait_for_end(prompt_id)
        kinds = listener.kinds(prompt_id)[1:]  # without the greeting
        entry = server.history(prompt_id)
    assert entry is not None
    assert kinds[:4] == ["status", "status", "execution_start", "execution_cached"]
    assert kinds[-3:] == ["execution_success", "status", "executing"]
    middle = [kind for kind in kinds[4:-3] if kind != "progress_state"]
    assert middle == ["executing", "executing", "executed"]


def test_the_history_is_readable_when_the_last_message_comes(server: Client) -> None:
    with server.listen() as listener:
        for _ in range(10):
            prompt_id = server.submit(fresh_graph())
            listener.wait_for_end(prompt_id)
            assert server.history(prompt_id) is not None


def test_a_cached_run_still_says_what_it_made(server: Client) -> None:
    prompt = fresh_graph()
    first = server.run(prompt)
    with server.listen() as listener:
        prompt_id = server.submit(prompt)
        output = listener.wait_for("executed", prompt_id)["output"]
        listener.wait_for_end(prompt_id)
    assert output == first["outputs"]["2"]


def test_an_interrupted_run_ends_with_executing_null_too(server: Client) -> None:
    with server.listen() as listener:
        prompt_id = server.submit(slow_graph(240))
        listener.wait_for("executing", prompt_id)
        server.post("/interrupt")
        interrupted = listener.wait_for("execution_interrupted", prompt_id)
        listener.wait_for_end(prompt_id)
    assert set(interrupted) >= {"prompt_id", "node_id", "node_type", "executed", "timestamp"}


def test_other_clients_hear_of_the_queue_only(server: Client) -> None:
    other = server.listen(uuid.uuid4().hex)
    with other, server.listen() as listener:
        prompt_id = server.submit(fresh_graph())
        listener.wait_for_end(prompt_id)
        while other.wait_for("status")["status"]["exec_info"]["queue_remaining"]:
            pass
        assert set(other.kinds()) == {"status"}


def test_the_count_goes_up_and_back_to_zero(server: Client) -> None:
    with server.listen() as listener:
        prompt_id = server.submit(fresh_graph())
        listener.wait_for_end(prompt_id)
    counts = [
        message["data"]["status"]["exec_info"]["queue_remaining"]
        for message in listener.messages
        if message["type"] == "status"
    ]
    assert counts[1:] == [1, 1, 0]


def test_a_client_that_comes_back_goes_on_with_its_job(server: Client) -> None:
    old = server.listen()
    prompt_id = server.submit(slow_graph(240))
    old.wait_for("executing", prompt_id)
    with server.listen() as new:
        snapshot = new.wait_for("executing")
        old.socket.close()
        wait_until(lambda: server.history(prompt_id) is None, what="the job runs")
        server.post("/interrupt")
        new.wait_for("execution_interrupted", prompt_id)
        new.wait_for_end(prompt_id)
    assert set(snapshot) == {"node"}
    assert snapshot["node"] is not None


def test_feature_flags_are_exchanged(server: Client) -> None:
    with server.listen() as listener:
        listener.send("this is not JSON")
        listener.send({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        assert listener.wait_for("feature_flags") == server.get("/features").json()


def test_a_client_may_say_anything(server: Client) -> None:
    with server.listen() as listener:
        for text in ("", "[]", "5", "null", '{"type": 5}', "x" * 100_000):
            listener.send(text)
        listener.socket.send_binary(b"\x00\x01")
        prompt_id = server.submit(fresh_graph())
        listener.wait_for_end(prompt_id)


def test_a_page_of_another_origin_is_refused(server: Client) -> None:
    url = f"ws{server.address.removeprefix('http')}/ws"
    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        websocket.create_connection(url, timeout=10, origin="https://evil.example")


def test_two_hundred_clients_hear_of_a_job(server: Client) -> None:
    listeners = [server.listen(f"crowd-{number}") for number in range(200)]
    try:
        prompt_id = server.submit(fresh_graph())
        for listener in listeners:
            listener.wait_for("status")
        server.wait(prompt_id)
    finally:
        for listener in listeners:
            listener.socket.shutdown()


def sampling_graph() -> dict[str, Any]:
    """Eight steps of the starter model."""
    prompt: dict[str, Any] = json.loads((ROOT / "examples" / "text_to_image.json").read_text())
    (sampler,) = (node for node in prompt.values() if node["class_type"] == "KSampler")
    sampler["inputs"] |= {"seed": uuid.uuid4().int >> 96, "steps": 8}
    return prompt


@pytest.mark.parametrize("describes", [True, False])
def test_previews_come_in_the_form_that_the_client_knows(
    server_process: ServerProcess, describes: bool
) -> None:
    server = server_process.client
    with server.listen() as listener:
        if describes:
            flags = {"supports_preview_metadata": True}
            listener.send({"type": "feature_flags", "data": flags})
            listener.wait_for("feature_flags")
        extra = {"preview_method": "latent2rgb"}
        prompt_id = server.submit(sampling_graph(), extra_data=extra)
        listener.wait_for_end(prompt_id)
        frame = listener.frames[0]
    event, second = struct.unpack(">II", frame[:8])
    image = frame[8:]
    if describes:
        assert event == 4
        described = json.loads(frame[8 : 8 + second])
        assert described["prompt_id"] == prompt_id
        assert described["image_type"] == "image/jpeg"
        image = frame[8 + second :]
    else:
        assert (event, second) == (1, 1)
    with Image.open(io.BytesIO(image)) as picture:
        assert picture.format == "JPEG"
        assert max(picture.size) <= 512


def test_a_client_that_comes_back_hears_how_far_its_job_is(server: Client, place: Place) -> None:
    old = server.listen()
    prompt_id = server.submit(slow_graph(240))
    old.wait_for("executing", prompt_id)
    with server.listen() as new:
        assert new.wait_for("executing")["node"] is not None
        if place.base.name.startswith("base"):  # the twin's worker sends no progress
            states = new.wait_for("progress_state", prompt_id)["nodes"]
            assert {state["state"] for state in states.values()} <= {"running", "finished"}
            assert "1" in states
        old.socket.close()
        server.post("/interrupt")
        new.wait_for_end(prompt_id)
