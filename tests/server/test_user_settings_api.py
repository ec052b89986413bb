"""GET and POST /settings, /settings/{id}."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import ServerProcess

PREFIXES = pytest.mark.parametrize("prefix", ["", "/api"])
FILE = "comfy.settings.json"


@pytest.fixture
def key() -> str:
    """A setting that no other test uses."""
    return f"Test.{uuid.uuid4().hex}"


@PREFIXES
def test_nothing_is_set_at_first(new_twin: Callable[..., Client], prefix: str) -> None:
    client = new_twin()
    reply = client.get(f"{prefix}/settings")
    assert (reply.status, reply.json()) == (200, {})
    reply = client.get(f"{prefix}/settings/Comfy.Anything")
    assert (reply.status, reply.body) == (200, b"null")


@PREFIXES
@pytest.mark.parametrize(
    "value", ["1.58.1", False, None, 0, -1.5, [], [1, [2]], {"a": {"b": "ü"}}, "", 10**30]
)
def test_a_setting_holds_any_json(server: Client, key: str, prefix: str, value: Any) -> None:
    reply = server.post(f"{prefix}/settings/{key}", json.dumps(value).encode())
    assert (reply.status, reply.body) == (200, b"")
    assert server.get(f"{prefix}/settings/{key}").json() == value
    assert server.get(f"{prefix}/settings").json()[key] == value


@PREFIXES
def test_settings_are_merged(server: Client, key: str, prefix: str) -> None:
    server.post(f"{prefix}/settings", {f"{key}.a": {"x": 1}, f"{key}.b": 1})
    reply = server.post(f"{prefix}/settings", {f"{key}.a": {"y": 2}, f"{key}.c": 3})
    assert (reply.status, reply.body) == (200, b"")
    settings = server.get(f"{prefix}/settings").json()
    assert [settings[f"{key}.{name}"] for name in "abc"] == [{"y": 2}, 1, 3]


@pytest.mark.parametrize("name", ["a b", "ü", "a%2Fb", "{x}", "../../x", "__x", "n" * 2000])
def test_any_text_is_the_id_of_a_setting(server: Client, key: str, name: str) -> None:
    path = f"/settings/{key}" + "".join(f"%{byte:02X}" for byte in name.encode())
    assert server.post(path, b"1").status == 200
    assert server.get(path).json() == 1
    assert server.get("/settings").json()[key + name] == 1


@pytest.mark.parametrize("body", [b"", b"nope", b"[]", b"1", b'"a"', b"null", b"\xff", b"{"])
def test_settings_must_be_an_object(server: Client, body: bytes) -> None:
    before = server.get("/settings").json()
    reply = server.post("/settings", body)
    assert (reply.status, reply.json()["error"]["type"]) == (400, "bad_request")
    assert server.get("/settings").json() == before


@pytest.mark.parametrize(
    "body",
    [b"", b"nope", b"\xff", b'"\\ud800"', b"[" * 101 + b"]" * 101, b"[" * 90_000],
)
def test_a_setting_must_be_json_that_can_be_kept(server: Client, key: str, body: bytes) -> None:
    reply = server.post(f"/settings/{key}", body)
    assert (reply.status, reply.json()["error"]["type"]) == (400, "bad_request")
    assert server.get(f"/settings/{key}").json() is None


def test_a_deep_setting_is_kept(server: Client, key: str) -> None:
    body = b"[" * 99 + b"]" * 99
    assert server.post(f"/settings/{key}", body).status == 200
    assert server.get(f"/settings/{key}").body == body


def test_a_body_over_the_limit_is_refused(new_twin: Callable[..., Client]) -> None:
    client = new_twin(max_upload_size=0.01)
    reply = client.post("/settings/a", "x" * 20_000)
    assert (reply.status, reply.json()["error"]["type"]) == (413, "too_large")
    statuses = [client.post(f"/settings/{i}", "x" * 4000).status for i in range(4)]
    assert statuses == [200, 200, 413, 413]  # nor do many small ones fill the disk
    assert sorted(client.get("/settings").json()) == ["0", "1"]


def test_settings_changed_at_once_are_all_kept(
    new_twin: Callable[..., Client], tmp_path: Path
) -> None:
    client = new_twin()
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda i: client.post(f"/settings/key{i}", i), range(60)))
    assert {reply.status for reply in replies} == {200}
    expected = {f"key{i}": i for i in range(60)}
    assert client.get("/settings").json() == expected
    folder = tmp_path / "twin1" / "user" / "default"
    assert [file.name for file in folder.iterdir()] == [FILE]  # nothing half written is left
    assert json.loads((folder / FILE).read_text()) == expected


@pytest.mark.parametrize("content", [b"", b"{broken", b"[1]", b"\xff\xfe", b"[" * 90_000])
@pytest.mark.parametrize("reads_first", [True, False])
def test_a_broken_file_is_moved_aside(
    new_twin: Callable[..., Client],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    content: bytes,
    reads_first: bool,
) -> None:
    folder = tmp_path / "twin1" / "user" / "default"
    client = new_twin()
    folder.mkdir()
    (folder / FILE).write_bytes(content)
    with caplog.at_level(logging.ERROR):
        if reads_first:
            assert client.get("/settings").json() == {}
        assert client.post("/settings/a", 1).status == 200
    assert FILE in caplog.text
    assert client.get("/settings").json() == {"a": 1}
    assert [file.read_bytes() for file in folder.glob(f"{FILE}.broken-*")] == [content]


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b'\xef\xbb\xbf{\n  "a": 1\n}\n', 1),  # with a byte order mark
        (b'{"a": "\\ud800"}', "\ud800"),  # half a character
        (b'{"a": NaN}', None),
    ],
)
def test_a_file_that_another_program_wrote_is_kept(
    new_twin: Callable[..., Client], tmp_path: Path, content: bytes, value: Any
) -> None:
    client = new_twin()
    file = tmp_path / "twin1" / "user" / "default" / FILE
    file.parent.mkdir()
    file.write_bytes(content)
    assert client.get("/settings").json() == {"a": value}
    assert client.post("/settings/b", 2).status == 200
    assert client.get("/settings").json() == {"a": value, "b": 2}


def test_settings_and_files_survive_a_restart(
    new_server: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    base = tmp_path / "base"
    first = new_server(base=base)
    first.client.post("/api/settings/Comfy.ColorPalette", "dark")
    first.client.post("/api/userdata/workflows%2Fa.json", b'{"nodes": []}')
    first.stop()
    second = new_server(base=base).client
    assert second.get("/api/settings").json() == {"Comfy.ColorPalette": "dark"}
    assert second.get("/api/userdata/workflows%2Fa.json").body == b'{"nodes": []}'
