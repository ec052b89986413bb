"""What /internal tells: log lines, over HTTP and the socket, folders and file names."""

from __future__ import annotations

import json
import logging
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client, Listener, Reply, wait_until
from tests.conftest import ServerProcess
from tests.server.conftest import Place


def say(text: str) -> None:
    """Log a line in the process of the twin."""
    logging.getLogger("tests.internal").warning("%s", text)


def subscribe(server: Client, body: Any, prefix: str = "") -> Reply:
    return server.request("PATCH", f"{prefix}/internal/logs/subscribe", json.dumps(body).encode())


def wait_for_line(listener: Listener, text: str) -> None:
    while not any(text in entry["m"] for entry in listener.wait_for("logs")["entries"]):
        pass


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_the_log_is_one_text(server: Client, prefix: str) -> None:
    marker = uuid.uuid4().hex
    say(marker)
    reply = server.get(f"{prefix}/internal/logs")
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert f" - WARNING {marker}\n" in reply.json()


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_the_log_comes_line_by_line(server: Client, prefix: str) -> None:
    marker = uuid.uuid4().hex
    say(marker)
    answer = server.get(f"{prefix}/internal/logs/raw").json()
    assert set(answer) == {"entries", "size"}
    assert set(answer["size"]) == {"cols", "rows"}
    assert all(set(entry) == {"t", "m"} for entry in answer["entries"])
    assert f"WARNING {marker}\n" in [entry["m"] for entry in answer["entries"]]


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_a_client_is_sent_the_lines_that_it_asked_for(server: Client, prefix: str) -> None:
    marker = uuid.uuid4().hex
    with server.listen() as listener:
        reply = subscribe(server, {"clientId": server.client_id, "enabled": True}, prefix)
        assert (reply.status, reply.json()) == (200, {})
        say(marker)
        wait_for_line(listener, marker)


def test_other_clients_and_those_that_ended_it_get_no_lines(server: Client, place: Place) -> None:
    other, former = Client(place.address), Client(place.address)
    markers = [uuid.uuid4().hex for _ in range(3)]
    with server.listen() as mine, other.listen() as theirs, former.listen() as ended:
        for client in (server, former):
            subscribe(server, {"clientId": client.client_id, "enabled": True})
        subscribe(server, {"clientId": former.client_id, "enabled": False})
        for marker in markers:
            say(marker)
            wait_for_line(mine, marker)
        for listener, client in ((theirs, other), (ended, former)):
            subscribe(server, {"clientId": client.client_id, "enabled": True})
            last = uuid.uuid4().hex
            say(last)
            wait_for_line(listener, last)
            assert not any(marker in json.dumps(listener.messages) for marker in markers)


def test_a_subscription_ends_with_the_socket(server: Client) -> None:
    with server.listen():
        subscribe(server, {"clientId": server.client_id, "enabled": True})
    marker, last = uuid.uuid4().hex, uuid.uuid4().hex
    with server.listen() as listener:
        say(marker)
        with Client(server.address).listen() as other:
            subscribe(server, {"clientId": other_id(other), "enabled": True})
            say(last)
            wait_for_line(other, last)
        subscribe(server, {"clientId": server.client_id, "enabled": True})
        say(last)
        wait_for_line(listener, last)
        assert marker not in json.dumps(listener.messages)


def other_id(listener: Listener) -> str:
    sid: str = listener.messages[0]["data"]["sid"]
    return sid


def test_a_client_that_is_not_connected_may_ask(server: Client) -> None:
    for enabled in (True, False):
        assert subscribe(server, {"clientId": "nobody", "enabled": enabled}).status == 200


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"enabled": True}, "clientId"),
        ({"clientId": "", "enabled": True}, "clientId"),
        ({"clientId": 3, "enabled": True}, "clientId"),
        ({"clientId": ["a"], "enabled": True}, "clientId"),
        ({"clientId": "a"}, "enabled"),
        ({"clientId": "a", "enabled": None}, "enabled"),
        ({"clientId": "a", "enabled": "yes"}, "enabled"),
        ({"clientId": "a", "enabled": 1}, "enabled"),
    ],
)
def test_a_wrong_subscription_names_the_field(server: Client, body: Any, name: str) -> None:
    reply = subscribe(server, body)
    assert reply.status == 400
    assert reply.json()["error"]["extra_info"] == {"field": name}


def test_a_subscription_that_is_no_object_is_refused(server: Client) -> None:
    bodies: list[Any] = [[], 3, None]
    for body in bodies:
        assert subscribe(server, body).status == 400
    assert server.request("PATCH", "/internal/logs/subscribe", b"{").status == 400


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_folders_are_listed_by_kind(server: Client, place: Place, prefix: str) -> None:
    folders = server.get(f"{prefix}/internal/folder_paths").json()
    assert list(folders) == server.get("/models").json()
    models = place.base / "models"
    assert folders["text_encoders"] == [
        str(models / "text_encoders"),
        str(models / "clip"),
        str(place.base / "output" / "clip"),
    ]


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("kind", ["input", "output", "temp"])
def test_files_are_listed_newest_first(
    new_twin: Callable[..., Client], tmp_path: Any, kind: str, prefix: str
) -> None:
    client = new_twin()
    folder = tmp_path / "twin1" / kind
    (folder / "sub").mkdir()
    (folder / "sub" / "inner.png").touch()
    for age, name in enumerate(["new.png", "b.txt", "old.png", ".hidden"]):
        (folder / name).touch()
        os.utime(folder / name, (1000 - age, 1000 - age))
    (folder / "gone").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png")).touch()
    assert client.get(f"{prefix}/internal/files/{kind}").json() == ["new.png", "b.txt", "old.png"]


@pytest.mark.parametrize("kind", ["user", "models", "..", "%2e%2e", "x"])
def test_files_of_another_folder_are_refused(server: Client, kind: str) -> None:
    reply = server.get(f"/internal/files/{kind}")
    assert reply.status in (400, 404)
    if kind in ("user", "models", "x"):
        assert (reply.status, reply.json()["error"]["extra_info"]) == (400, {"field": "type"})


def test_lines_of_server_and_worker_are_there_and_no_secrets(
    new_server: Callable[..., ServerProcess],
) -> None:
    server = new_server("--verbose", "DEBUG")
    client = server.client
    graph = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0},
        },
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    secret = f"s3cret-{uuid.uuid4().hex}"
    with client.listen() as listener:
        subscribe(client, {"clientId": client.client_id, "enabled": True})
        entry = client.run(graph, extra_data={"api_key_comfy_org": secret})
        prompt_id = entry["prompt"][1]
        wait_for_line(listener, prompt_id)
    text = client.get("/internal/logs").json()
    assert "listening on http://" in text
    assert f"prompt {prompt_id} done" in text
    assert secret not in text + "".join(server.log)
    wait_until(lambda: prompt_id in "".join(server.log), what="the console has the line too")
