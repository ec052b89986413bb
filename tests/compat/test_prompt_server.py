"""`PromptServer.instance` as packs use it, over a link that writes down what it is given."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from darkroom_compat.prompt_server import BinaryEventTypes, PromptServer
from darkroom_compat.request_users import UserManager
from PIL import Image


class Link:
    """Implements the `Link` of the facade."""

    def __init__(self, user_folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.address, self.port = "127.0.0.1", 8188
        self.user_folder = user_folder
        self.is_multi_user = False
        self.max_body_bytes = 1000
        self.client_id: str | None = "me"
        self.prompt_id: str | None = "p"
        self.node_id: str | None = "7"
        self.sent: list[tuple[bytes, bool, str | None]] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}

    def encode(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def send(self, body: bytes, *, is_binary: bool, client_id: str | None) -> None:
        self.sent.append((body, is_binary, client_id))

    def ask(self, method: str, **arguments: Any) -> Any:
        self.asked.append((method, arguments))
        return self.answers.get(method)


@pytest.fixture
def link(tmp_path: Path) -> Iterator[Link]:
    link = Link(tmp_path)
    yield link
    link.loop.close()


@pytest.fixture
def server(link: Link) -> PromptServer:
    return PromptServer(link)


PICTURE = Image.new("RGBA", (40, 20), (255, 0, 0, 128))


def test_it_knows_what_runs(server: PromptServer, link: Link) -> None:
    assert (server.client_id, server.last_prompt_id, server.last_node_id) == ("me", "p", "7")
    server.client_id = "other"
    server.last_prompt_id = None
    assert (link.client_id, link.prompt_id) == ("other", None)
    assert (server.address, server.port, server.loop) == ("127.0.0.1", 8188, link.loop)
    link.answers["clients"] = ["a", "b"]
    assert "a" in server.sockets


def test_json_goes_to_one_client_or_to_all(server: PromptServer, link: Link) -> None:
    server.send_sync("my.event", {"a": 1}, "one")
    server.send_sync("my.event", [2])
    assert link.sent == [
        (b'{"type": "my.event", "data": {"a": 1}}', False, "one"),
        (b'{"type": "my.event", "data": [2]}', False, None),
    ]


def test_bytes_are_sent_after_the_number_of_their_event(server: PromptServer, link: Link) -> None:
    server.send_sync(BinaryEventTypes.PREVIEW_IMAGE, bytearray(b"x"), "one")
    assert link.sent == [(b"\0\0\0\1x", True, "one")]
    with pytest.raises(TypeError, match="BinaryEventTypes"):
        server.send_sync("text", b"x")


def test_a_line_of_text_names_its_node(server: PromptServer, link: Link) -> None:
    server.send_progress_text("hé", "12", "one")
    assert link.sent == [("\0\0\0\3\0\0\0\x0212hé".encode(), True, "one")]


@pytest.mark.parametrize(
    ("kind", "largest", "number", "size"),
    [("JPEG", 10, 1, (10, 5)), ("PNG", None, 2, (40, 20)), ("JPEG", 100, 1, (40, 20))],
)
def test_a_picture_is_encoded_and_shrunk(
    server: PromptServer, link: Link, kind: str, largest: int | None, number: int, size: Any
) -> None:
    server.send_sync(BinaryEventTypes.UNENCODED_PREVIEW_IMAGE, (kind, PICTURE, largest), "one")
    ((body, is_binary, client_id),) = link.sent
    assert (is_binary, client_id) == (True, "one")
    assert struct.unpack(">II", body[:8]) == (1, number)
    image = Image.open(io.BytesIO(body[8:]))
    assert (image.size, image.format) == (size, kind)


def test_a_picture_with_a_description(server: PromptServer, link: Link) -> None:
    data = (("JPEG", PICTURE, 16), {"node_id": "3"})
    server.send_sync(BinaryEventTypes.PREVIEW_IMAGE_WITH_METADATA, data)
    ((body, _, _),) = link.sent
    event, length = struct.unpack(">II", body[:8])
    assert event == 4
    assert json.loads(body[8 : 8 + length]) == {"node_id": "3", "image_type": "image/jpeg"}
    assert Image.open(io.BytesIO(body[8 + length :])).size == (16, 8)


async def test_the_forms_to_be_awaited_send_the_same(tmp_path: Path) -> None:
    link = Link(tmp_path)
    server = PromptServer(link)
    await server.send("a", 1)
    await server.send_json("b", 2, "one")
    await server.send_bytes(3, b"x", "one")
    await server.send_image(("PNG", PICTURE, None))
    await server.send_image_with_metadata(("PNG", PICTURE, None), {"node_id": "3"})
    assert [body[:4] for body, is_binary, _ in link.sent if is_binary] == [
        b"\0\0\0\3",
        b"\0\0\0\1",
        b"\0\0\0\4",
    ]
    assert [json.loads(body)["type"] for body, is_binary, _ in link.sent if not is_binary] == [
        "a",
        "b",
    ]
    link.loop.close()


def test_prompt_handlers_run_in_order_and_may_fail(
    server: PromptServer, caplog: pytest.LogCaptureFixture
) -> None:
    def add(value: int) -> Any:
        return lambda data: data | {"seen": [*data.get("seen", []), value]}

    def fail(data: dict[str, Any]) -> dict[str, Any]:
        raise RuntimeError("on purpose")

    def leave(data: dict[str, Any]) -> dict[str, Any]:
        raise SystemExit

    server.add_on_prompt_handler(add(1))
    server.add_on_prompt_handler(fail)
    server.add_on_prompt_handler(lambda data: None)  # type: ignore[arg-type, return-value]
    server.add_on_prompt_handler(leave)
    server.add_on_prompt_handler(add(2))
    assert server.trigger_on_prompt({"prompt": {}}) == {"prompt": {}, "seen": [1, 2]}
    assert "on purpose" in caplog.text
    assert "gave no object" in caplog.text


# The queue


def test_the_queue_is_asked_of_the_server(server: PromptServer, link: Link) -> None:
    queue = server.prompt_queue
    item = [1, "p1", {}, {}, ["2"]]
    link.answers |= {
        "remaining": 2,
        "queue": {"running": [item], "pending": [[2, "p2", {}, {}, []]]},
        "history": {"p0": {"outputs": {}}},
        "cancel": 1,
    }
    assert queue.get_tasks_remaining() == 2
    assert server.get_queue_info() == {"exec_info": {"queue_remaining": 2}}
    running, pending = queue.get_current_queue()
    assert running == [tuple(item)]
    assert queue.get_current_queue_volatile() == (running, pending)
    assert queue.currently_running == {0: tuple(item)}
    assert queue.queue == pending
    assert queue.history == {"p0": {"outputs": {}}}
    assert queue.get_history(prompt_id="p0", map_function=len) == {"p0": 1}
    assert queue.delete_queue_item(lambda item: item[1] == "p2")
    assert not queue.delete_queue_item(lambda item: item[1] == "p3")
    link.asked.clear()
    queue.wipe_queue()
    queue.delete_history_item("p0")
    queue.wipe_history()
    queue.set_flag("unload_models", True)
    queue.set_flag("free_memory", True)
    queue.set_flag("free_memory", False)
    queue.set_flag("unknown", True)
    queue.put((-1, "p9", {"1": {}}, {"client_id": "c"}, ["1"], {}))
    assert link.asked == [
        ("cancel", {"prompt_ids": None}),
        ("forget", {"prompt_ids": ["p0"]}),
        ("forget", {"prompt_ids": None}),
        ("free", {"unload_models": True, "free_memory": False}),
        ("free", {"unload_models": True, "free_memory": True}),
        (
            "submit",
            {
                "number": -1,
                "prompt_id": "p9",
                "prompt": {"1": {}},
                "extra_data": {"client_id": "c"},
                "partial_execution_targets": ["1"],
            },
        ),
    ]


# Users


def request_of(user: str | None = None) -> web.Request:
    return make_mocked_request("GET", "/", headers={"comfy-user": user} if user else {})


def test_there_is_one_user_with_a_folder(tmp_path: Path) -> None:
    users = UserManager(tmp_path, is_multi_user=False)
    assert users.get_request_user_id(request_of("any")) == "default"
    path = users.get_request_user_filepath(request_of(), "pack/settings.json")
    assert path == str(tmp_path / "default" / "pack" / "settings.json")
    assert (tmp_path / "default" / "pack").is_dir()
    assert users.get_request_user_filepath(request_of(), None) == str(tmp_path / "default")
    assert users.get_request_user_filepath(request_of(), "../other") is None
    with pytest.raises(KeyError):
        users.get_request_user_filepath(request_of(), "x", type="models")


def test_settings_of_the_user_can_be_read(tmp_path: Path) -> None:
    users = UserManager(tmp_path, is_multi_user=False)
    assert users.settings.get_settings(request_of()) == {}
    file = tmp_path / "default" / "comfy.settings.json"
    file.parent.mkdir()
    file.write_text('{"Comfy.x": 1}')
    assert users.settings.get_settings(request_of()) == {"Comfy.x": 1}
    file.write_text("[]")
    assert users.settings.get_settings(request_of()) == {}


@pytest.mark.parametrize("user", [None, "none", "__system", "../a", "a/b", ".", ".."])
def test_unknown_users_are_refused(tmp_path: Path, user: str | None) -> None:
    (tmp_path / "users" / "a_1").mkdir(parents=True)
    (tmp_path / "users" / "__system").mkdir()
    users = UserManager(tmp_path / "users", is_multi_user=True)
    assert users.get_request_user_id(request_of("a_1")) == "a_1"
    with pytest.raises(KeyError):
        users.get_request_user_id(request_of(user))


# Where packs find it


def test_the_module_server_offers_it_without_importing_it() -> None:
    import server

    assert server.PromptServer is PromptServer
    assert server.BinaryEventTypes is BinaryEventTypes
    assert server.web is web
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = server.nothing


def test_a_process_without_packs_says_that_there_is_none() -> None:
    import subprocess
    import sys

    from tests.conftest import ROOT

    program = (
        "import sys, server\n"
        "assert 'aiohttp' not in sys.modules\n"
        "assert not hasattr(server, 'PromptServer')\n"
        "try:\n    server.PromptServer\n"
        "except AttributeError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "exists in worker processes only" in done.stdout
