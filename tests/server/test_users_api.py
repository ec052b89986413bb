"""GET and POST /users, and whose data a request reaches with --multi-user."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.client import Client, Reply

HEADER = "comfy-user"
PREFIXES = pytest.mark.parametrize("prefix", ["", "/api"])

# One request for each row of the table that needs a user; 401 without one, but for the last.
PERSONAL = [
    ("GET", "/settings"),
    ("POST", "/settings"),
    ("GET", "/settings/a"),
    ("POST", "/settings/a"),
    ("GET", "/userdata?dir=a"),
    ("GET", "/userdata/a"),
    ("POST", "/userdata/a"),
    ("DELETE", "/userdata/a"),
    ("POST", "/userdata/a/move/b"),
    ("GET", "/v2/userdata"),
]


@pytest.fixture
def several(new_twin: Callable[..., Client]) -> Client:
    """A client of a server with several users."""
    return new_twin(multi_user=True)


def add(client: Client, name: object) -> Reply:
    return client.post("/users", {"username": name})


@PREFIXES
def test_one_user_is_migrated_when_something_is_stored(
    new_twin: Callable[..., Client], prefix: str
) -> None:
    client = new_twin()
    reply = client.get(f"{prefix}/users")
    assert (reply.status, reply.json()) == (200, {"storage": "server", "migrated": False})
    client.post("/settings/a", 1)
    assert client.get(f"{prefix}/users").json() == {"storage": "server", "migrated": True}


def test_one_user_needs_no_header(new_twin: Callable[..., Client], tmp_path: Path) -> None:
    client = new_twin()
    client.post("/userdata/a", b"1", {HEADER: "somebody"})
    assert client.get("/userdata/a").body == b"1"
    assert (tmp_path / "twin1" / "user" / "default" / "a").is_file()


def test_users_may_be_added_before_there_are_several(new_twin: Callable[..., Client]) -> None:
    client = new_twin()
    assert add(client, "jane").json().startswith("jane_")
    assert client.get("/users").json() == {"storage": "server", "migrated": False}


@PREFIXES
def test_users_are_added_and_listed(several: Client, prefix: str) -> None:
    assert several.get(f"{prefix}/users").json() == {"storage": "server", "users": {}}
    reply = several.post(f"{prefix}/users", {"username": "Jane Doe"})
    user_id = reply.json()
    assert reply.status == 200
    assert user_id.startswith("Jane-Doe_")
    assert several.get(f"{prefix}/users").json()["users"] == {user_id: "Jane Doe"}


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("a_b-9", "a_b-9_"),
        ("../../x", "------x_"),
        ("Zoë/你", "Zo---_"),
        ("_x", "_x_"),
        (" a ", "a_"),
        ("n" * 128, "n" * 128 + "_"),
    ],
)
def test_ids_are_safe_names(several: Client, tmp_path: Path, name: str, start: str) -> None:
    user_id = add(several, name).json()
    assert user_id.startswith(start)
    assert len(user_id) == len(start) + 36  # a UUID
    assert several.post("/userdata/a", b"1", {HEADER: user_id}).status == 200
    assert (tmp_path / "twin1" / "user" / user_id / "a").is_file()


@pytest.mark.parametrize("name", ["", "  ", "__system", " __x", "taken", "n" * 129, None])
def test_bad_names_are_refused(several: Client, name: str | None) -> None:
    add(several, "taken")
    reply = add(several, name)
    assert reply.status == 400
    assert isinstance(reply.json()["error"], str)  # clients show it as it is
    assert reply.json()["field"] == "username"
    assert list(several.get("/users").json()["users"].values()) == ["taken"]


@pytest.mark.parametrize("body", [b"", b"nope", b"[]", b'{"username": 5}', b'{"username": []}'])
def test_a_body_of_another_form_is_refused(several: Client, body: bytes) -> None:
    reply = several.post("/users", body)
    assert (reply.status, reply.json()["error"]["type"]) == (400, "bad_request")


def test_users_added_at_once_are_all_kept_and_names_stay_unique(several: Client) -> None:
    names = [f"user{i % 8}" for i in range(24)]
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda name: add(several, name), names))
    assert sorted(reply.status for reply in replies) == [200] * 8 + [400] * 16
    assert sorted(several.get("/users").json()["users"].values()) == sorted(set(names))


@pytest.mark.parametrize(("method", "path"), PERSONAL)
def test_without_a_known_user_nothing_is_reached(
    several: Client, tmp_path: Path, method: str, path: str
) -> None:
    add(several, "jane")  # its id is another
    expected = (403, "forbidden") if "v2" in path else (401, "unauthorized")
    for user in (None, "", "nobody", "__system", "../default", ".", "jane", "default"):
        headers: dict[str, str] = {} if user is None else {HEADER: user}
        for prefix in ("", "/api"):
            body = b"{}" if method == "POST" else None
            reply = several.request(method, prefix + path, body, headers)
            assert (reply.status, reply.json()["error"]["type"]) == expected, user
    made = {path.name for path in (tmp_path / "twin1" / "user").iterdir() if path.is_dir()}
    assert made <= {".darkroom"}  # which is the server's own


@pytest.mark.parametrize(("method", "path"), PERSONAL)
def test_a_known_user_reaches_its_own(several: Client, method: str, path: str) -> None:
    user = {HEADER: add(several, "jane").json()}
    several.post("/userdata/a%2Fb", b"{}", user)
    if "/userdata/a" in path:
        path = path.replace("/userdata/a", "/userdata/a%2Fb")
    reply = several.request(method, path, b"{}" if method == "POST" else None, user)
    assert reply.status in (200, 204)


def test_users_do_not_see_each_other(several: Client) -> None:
    jane, john = ({HEADER: add(several, name).json()} for name in ("jane", "john"))
    several.post("/userdata/a%2Fb", b"of jane", jane)
    several.post("/settings/a", "of jane", jane)
    assert several.get("/userdata/a%2Fb", jane).body == b"of jane"
    assert several.get("/settings", jane).json() == {"a": "of jane"}
    assert several.get("/userdata/a%2Fb", john).status == 404
    assert several.get("/settings", john).json() == {}
    assert several.get("/v2/userdata", john).json() == []
    other = f"..%2F{jane[HEADER]}%2Fa%2Fb"
    assert several.get(f"/userdata/{other}", john).status == 403


def test_reserved_and_odd_ids_in_the_file_are_no_users(
    new_twin: Callable[..., Client], tmp_path: Path
) -> None:
    client = new_twin(multi_user=True)
    ids = ["__system", "../default", "a/b", "..", "", "good_1"]
    users = tmp_path / "twin1" / "user" / "users.json"
    users.write_text(json.dumps(dict.fromkeys(ids, "x")))
    assert client.get("/users").json()["users"] == {"good_1": "x"}
    assert client.get("/settings", {HEADER: "__system"}).status == 401
    assert client.get("/settings", {HEADER: "good_1"}).status == 200


def test_a_broken_file_of_users_is_moved_aside(
    new_twin: Callable[..., Client], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = new_twin(multi_user=True)
    folder = tmp_path / "twin1" / "user"
    (folder / "users.json").write_text("{broken")
    with caplog.at_level(logging.ERROR):
        assert client.get("/users").json()["users"] == {}
    assert "users.json" in caplog.text
    assert [file.read_text() for file in folder.glob("users.json.broken-*")] == ["{broken"]
    assert add(client, "jane").status == 200
