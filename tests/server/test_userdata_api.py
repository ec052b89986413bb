"""GET /userdata, /v2/userdata; GET, POST, DELETE /userdata/{file}; POST .../move/{dest}."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.client import Client, Reply
from tests.server.conftest import Place

PREFIXES = pytest.mark.parametrize("prefix", ["", "/api"])


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def store(client: Client, name: str, content: bytes = b"{}", query: str = "") -> Reply:
    return client.post(f"/userdata/{segment(name)}{query}", content)


def read(client: Client, name: str) -> Reply:
    return client.get(f"/userdata/{segment(name)}")


def move(client: Client, name: str, new_name: str, query: str = "") -> Reply:
    return client.post(f"/userdata/{segment(name)}/move/{segment(new_name)}{query}")


def tree(client: Client, path: str, prefix: str = "") -> Reply:
    return client.get(f"{prefix}/v2/userdata?path={segment(path)}")


@pytest.fixture
def folder() -> str:
    """A folder of the user that no other test uses."""
    return f"f{uuid.uuid4().hex}"


@pytest.fixture
def user_folder(place: Place) -> Path:
    path = place.base / "user" / "default"
    path.mkdir(parents=True, exist_ok=True)
    return path


# Writing and reading


@PREFIXES
def test_what_is_stored_is_read(server: Client, folder: str, prefix: str) -> None:
    path = f"{prefix}/userdata/{folder}%2Fa.json"
    reply = server.post(path, b'{"a": 1}')
    assert (reply.status, reply.json()) == (200, f"{folder}/a.json")
    assert reply.headers["content-type"].startswith("application/json")
    reply = server.get(path)
    assert (reply.status, reply.body) == (200, b'{"a": 1}')
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "name",
    ["a b.json", "ümläut 你好.json", "100%.json", "%2F.json", "a+b&c=d.json", "{x}.json", "x?y#z"],
)
def test_every_name_is_one_segment(
    server: Client, folder: str, user_folder: Path, name: str
) -> None:
    path = f"{folder}/{name}"
    assert store(server, path, b"content").json() == path
    assert (user_folder / folder / name).read_bytes() == b"content"
    assert read(server, path).body == b"content"
    assert server.get("/userdata", dir=folder).json() == [name]
    assert move(server, path, f"{path}.new").json() == f"{path}.new"
    assert server.request("DELETE", f"/userdata/{segment(path)}.new").status == 204


def test_lower_case_escapes_are_read_alike(server: Client, folder: str) -> None:
    store(server, f"{folder}/a.json", b"1")
    assert server.get(f"/userdata/{folder}%2fa.json").body == b"1"


def test_a_slash_that_is_not_escaped_is_no_part_of_a_name(server: Client, folder: str) -> None:
    assert server.post(f"/userdata/{folder}/a.json", b"1").status == 404


def test_a_file_is_replaced_unless_that_is_forbidden(server: Client, folder: str) -> None:
    name = f"{folder}/a.json"
    store(server, name, b"first")
    assert store(server, name, b"second").status == 200
    reply = store(server, name, b"third", "?overwrite=false")
    assert (reply.status, reply.json()["error"]["type"]) == (409, "conflict")
    assert store(server, name, b"fourth", "?overwrite=true").status == 200
    assert read(server, name).body == b"fourth"


def test_a_new_file_needs_no_permission_to_overwrite(server: Client, folder: str) -> None:
    assert store(server, f"{folder}/a.json", b"1", "?overwrite=false").status == 200


def test_the_answer_can_say_more(server: Client, folder: str) -> None:
    before = time.time() * 1000 - 1000
    info = store(server, f"{folder}/a.json", b"12345", "?full_info=true").json()
    assert set(info) == {"path", "size", "modified", "created"}
    assert (info["path"], info["size"]) == (f"{folder}/a.json", 5)
    assert before < info["modified"] < before + 60_000  # milliseconds
    assert isinstance(info["created"], int)


def test_an_empty_file_can_be_stored(server: Client, folder: str) -> None:
    assert store(server, f"{folder}/a", b"").status == 200
    assert (read(server, f"{folder}/a").status, read(server, f"{folder}/a").body) == (200, b"")


def test_a_missing_file_is_404(server: Client, folder: str) -> None:
    store(server, f"{folder}/a.json")
    for name in (f"{folder}/b.json", folder, "workflows/.index.json.none", f"{folder}/a.json/b"):
        reply = read(server, name)
        assert (reply.status, reply.json()["error"]["type"]) == (404, "not_found")


def test_a_large_file_arrives_whole(server: Client, folder: str) -> None:
    content = bytes(range(256)) * 20_000
    store(server, f"{folder}/a.bin", content)
    assert read(server, f"{folder}/a.bin").body == content


def test_ranges_and_conditional_requests(server: Client, folder: str) -> None:
    store(server, f"{folder}/a.txt", b"0123456789")
    path = f"/userdata/{folder}%2Fa.txt"
    part = server.get(path, {"Range": "bytes=2-4"})
    assert (part.status, part.body) == (206, b"234")
    tag = server.get(path).headers["etag"]
    assert server.get(path, {"If-None-Match": tag}).status == 304
    head = server.request("HEAD", path)
    assert (head.status, head.headers["content-length"], head.body) == (200, "10", b"")


@PREFIXES
def test_caches_ask_again_even_for_pictures(server: Client, folder: str, prefix: str) -> None:
    path = f"{prefix}/userdata/{folder}%2Fa.png"
    assert server.get(path).headers["cache-control"] == "no-cache"  # 404: it may come any time
    server.post(path, b"x")
    assert server.get(path).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("extension", ["html", "svg", "js", "xml", "xhtml", "css"])
def test_active_content_is_a_download(server: Client, folder: str, extension: str) -> None:
    name = f"{folder}/a.{extension}"
    store(server, name, b"<script>alert(1)</script>")
    headers = read(server, name).headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"].startswith("attachment")
    assert headers["x-content-type-options"] == "nosniff"


def test_a_body_over_the_limit_is_refused_and_nothing_is_stored(
    new_twin: Callable[..., Client], tmp_path: Path
) -> None:
    client = new_twin(max_upload_size=0.01)
    assert store(client, "a.bin", b"x" * 20_000).status == 413
    connection = HTTPConnection(client.address.partition("//")[2])
    with closing(connection):  # a body of unknown length
        pieces = (b"x" * 1000 for _ in range(20))
        connection.request("POST", "/userdata/a.bin", pieces, encode_chunked=True)
        assert connection.getresponse().status == 413
    assert read(client, "a.bin").status == 404
    assert list((tmp_path / "twin1" / "user").rglob("*.bin")) == []


def test_of_many_who_claim_a_name_one_wins(server: Client, folder: str, user_folder: Path) -> None:
    names = [f"{folder}/{i % 20}" for i in range(160)]
    with ThreadPoolExecutor(8) as pool:

        def claim(i: int) -> int:
            return store(server, names[i], f"{i}".encode(), "?overwrite=false").status

        statuses = list(pool.map(claim, sorted(range(160), key=lambda i: names[i])))
    assert sorted(statuses) == [200] * 20 + [409] * 140
    assert len(list((user_folder / folder).iterdir())) == 20  # nothing half written is left


def test_readers_see_whole_files_while_they_are_replaced(server: Client, folder: str) -> None:
    contents = [bytes([i]) * 300_000 for i in range(8)]
    store(server, f"{folder}/a", contents[0])
    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(store, server, f"{folder}/a", content) for content in contents]
        while not all(reply.done() for reply in writing):
            assert read(server, f"{folder}/a").body in contents
    assert {reply.result().status for reply in writing} == {200}


# Lists


@PREFIXES
def test_a_folder_lists_its_files(server: Client, folder: str, prefix: str) -> None:
    for name in ("b.json", "a.json", "sub/c.json", "sub/deep/d.json", ".index.json"):
        store(server, f"{folder}/{name}", b"123")
    flat = server.get(f"{prefix}/userdata", dir=folder)
    assert (flat.status, flat.json()) == (200, ["a.json", "b.json"])
    deep = server.get(f"{prefix}/userdata", dir=folder, recurse="true").json()
    assert deep == ["a.json", "b.json", "sub/c.json", "sub/deep/d.json"]


def test_names_can_be_split(server: Client, folder: str) -> None:
    for name in ("a.json", "sub/deep/d.json"):
        store(server, f"{folder}/{name}")
    reply = server.get("/userdata", dir=folder, recurse="true", split="true")
    assert reply.json() == [["a.json", "a.json"], ["sub/deep/d.json", "sub", "deep", "d.json"]]


@pytest.mark.parametrize("split", ["true", "false"])
def test_full_info_wins_over_split(server: Client, folder: str, split: str) -> None:
    stored = store(server, f"{folder}/sub/a.json", b"123", "?full_info=true").json()
    reply = server.get("/userdata", dir=folder, recurse="true", split=split, full_info="true")
    assert reply.json() == [stored | {"path": "sub/a.json"}]


def test_a_list_needs_a_folder(server: Client, folder: str) -> None:
    for query in ("", "?dir=", "?recurse=true"):
        reply = server.get(f"/userdata{query}")
        assert (reply.status, reply.json()["error"]["extra_info"]) == (400, {"field": "dir"})
    store(server, f"{folder}/a.json")
    for name in (f"{folder}/none", f"{folder}/a.json", "n" * 300):
        assert server.get("/userdata", dir=name).status == 404


@PREFIXES
def test_the_tree_lists_folders_first(server: Client, folder: str, prefix: str) -> None:
    for name in ("b.json", "a/z.json", "c/a.json", "c/d/e.json"):
        store(server, f"{folder}/{name}", b"12")
    reply = tree(server, folder, prefix)
    assert reply.status == 200
    assert [(item["type"], item["name"], item["path"]) for item in reply.json()] == [
        ("directory", "a", f"{folder}/a"),
        ("directory", "c", f"{folder}/c"),
        ("directory", "d", f"{folder}/c/d"),
        ("file", "a.json", f"{folder}/c/a.json"),
        ("file", "b.json", f"{folder}/b.json"),
        ("file", "e.json", f"{folder}/c/d/e.json"),
        ("file", "z.json", f"{folder}/a/z.json"),
    ]
    assert set(reply.json()[0]) == {"name", "path", "type"}
    assert set(reply.json()[3]) == {"name", "path", "type", "size", "modified"}
    assert reply.json()[3]["size"] == 2


def test_the_tree_starts_at_the_users_folder(new_twin: Callable[..., Client]) -> None:
    client = new_twin()
    assert client.get("/v2/userdata").json() == []  # nothing was stored yet
    assert tree(client, "a").status == 404
    store(client, "a b/c.json")
    assert [item["path"] for item in client.get("/v2/userdata").json()] == ["a b", "a b/c.json"]
    reply = client.get("/v2/userdata?path=a%20b")
    assert [item["path"] for item in reply.json()] == ["a b/c.json"]


def test_what_is_no_folder_has_no_tree(server: Client, folder: str) -> None:
    store(server, f"{folder}/a.json")
    assert tree(server, f"{folder}/none").status == 404
    for path in (f"{folder}/a.json", "..", "/etc", "__system", "a\0b"):
        assert tree(server, path).status == 400


# Deleting and moving


@PREFIXES
def test_a_deleted_file_is_gone(server: Client, folder: str, prefix: str) -> None:
    path = f"{prefix}/userdata/{folder}%2Fa.json"
    server.post(path, b"1")
    reply = server.request("DELETE", path)
    assert (reply.status, reply.body) == (204, b"")
    assert server.get(path).status == 404
    assert server.request("DELETE", path).status == 404


def test_folders_are_not_deleted(server: Client, folder: str) -> None:
    store(server, f"{folder}/a.json")
    for name in (folder, ".", f"{folder}%2F."):
        assert server.request("DELETE", f"/userdata/{name}").status == 404
    assert read(server, f"{folder}/a.json").status == 200


@PREFIXES
def test_a_file_is_moved(server: Client, folder: str, prefix: str) -> None:
    store(server, f"{folder}/a.json", b"1")
    path = f"{prefix}/userdata/{folder}%2Fa.json/move/{folder}%2Fnew%2Fb.json"
    reply = server.post(path)
    assert (reply.status, reply.json()) == (200, f"{folder}/new/b.json")
    assert read(server, f"{folder}/a.json").status == 404
    assert read(server, f"{folder}/new/b.json").body == b"1"
    assert server.post(path).status == 404


def test_a_move_replaces_unless_that_is_forbidden(server: Client, folder: str) -> None:
    for name in ("a", "b"):
        store(server, f"{folder}/{name}", name.encode())
    assert move(server, f"{folder}/a", f"{folder}/b", "?overwrite=false").status == 409
    assert read(server, f"{folder}/b").body == b"b"
    info = move(server, f"{folder}/a", f"{folder}/b", "?full_info=true").json()
    assert (info["path"], info["size"]) == (f"{folder}/b", 1)
    assert read(server, f"{folder}/b").body == b"a"


def test_a_folder_is_moved_but_never_over_another(server: Client, folder: str) -> None:
    store(server, f"{folder}/old/a", b"1")
    store(server, f"{folder}/other/b", b"2")
    assert move(server, f"{folder}/old", f"{folder}/other").status == 409
    assert move(server, f"{folder}/old", f"{folder}/other/b").status == 409
    assert move(server, f"{folder}/old", f"{folder}/old/below").status == 400
    assert move(server, f"{folder}/old", f"{folder}/new").json() == f"{folder}/new"
    assert read(server, f"{folder}/new/a").body == b"1"
    assert read(server, f"{folder}/other/b").body == b"2"


def test_a_file_does_not_replace_a_folder(server: Client, folder: str) -> None:
    store(server, f"{folder}/a")
    store(server, "b")
    assert store(server, folder).status == 409
    assert move(server, "b", folder).status == 409
    assert store(server, f"{folder}/a/b").status == 400  # a is no folder


# Attacks

OUTSIDE = ["../x", "../../secret", "a/../../x", "/etc/passwd", "//etc/passwd", "..", "/"]
RESERVED = ["__system/x", "__x", "a/__x/b.json", "a/../__x"]


@pytest.mark.parametrize("name", OUTSIDE + RESERVED)
def test_no_name_leads_outside(server: Client, place: Place, folder: str, name: str) -> None:
    (place.base / "user" / "x").write_text("secret")
    (place.base / "secret").write_text("secret")
    before = _files(place.base)
    store(server, f"{folder}/a", b"1")
    for reply in (
        read(server, name),
        store(server, name, b"changed"),
        server.request("DELETE", f"/userdata/{segment(name)}"),
        move(server, name, f"{folder}/b"),
        move(server, f"{folder}/a", name),
        server.get("/userdata", dir=name),
    ):
        assert (reply.status, reply.json()["error"]["type"]) == (403, "forbidden")
        assert str(place.base) not in reply.body.decode()  # where the folders lie is not told
    assert tree(server, name).status == 400
    assert read(server, f"{folder}/a").body == b"1"
    server.request("DELETE", f"/userdata/{folder}%2Fa")
    assert _files(place.base) == before


def _files(base: Path) -> dict[Path, bytes]:
    files = [file for file in base.rglob("*") if file.is_file() and ".db" not in file.name]
    return {file: file.read_bytes() for file in files}


@pytest.mark.parametrize("name", ["a\0b", "/".join("a" * 100), "."])
def test_a_name_that_cannot_be_is_a_bad_request(server: Client, folder: str, name: str) -> None:
    store(server, f"{folder}/a")
    assert store(server, name).status == 400
    assert move(server, name, f"{folder}/b").status == 400
    assert move(server, f"{folder}/a", name).status == 400


@pytest.mark.parametrize("name", ["n" * 300, "你" * 100, "n" * 3000])
def test_a_name_that_is_too_long_is_no_file(server: Client, folder: str, name: str) -> None:
    store(server, f"{folder}/a")
    assert store(server, name).status == 400
    assert store(server, f"{name}/a").status == 400
    assert move(server, f"{folder}/a", name).status == 400
    assert read(server, name).status == 404
    assert server.request("DELETE", f"/userdata/{segment(name)}").status == 404
    assert move(server, name, f"{folder}/b").status == 404


@pytest.mark.parametrize("raw", ["%ff%fe", "%ED%A0%80", "%zz", "%", "a%0d%0ab", "..%00"])
def test_odd_escapes_never_fail_the_server(server: Client, raw: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        body = b"x" if method == "POST" else None
        assert server.request(method, f"/userdata/{raw}", body).status < 500
    assert server.get(f"/userdata?dir={raw}").status < 500
    assert server.get(f"/v2/userdata?path={raw}").status < 500


def test_links_do_not_lead_outside(
    server: Client, place: Place, folder: str, user_folder: Path
) -> None:
    outside = place.base / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "secret").write_text("secret")
    store(server, f"{folder}/a", b"1")
    (user_folder / folder / "file").symlink_to(outside / "secret")
    (user_folder / folder / "folder").symlink_to(outside)
    (user_folder / folder / "new").symlink_to(outside / "new")
    for name in (f"{folder}/file", f"{folder}/folder/secret", f"{folder}/new"):
        assert read(server, name).status == 403
        assert store(server, name, b"changed").status == 403
        assert move(server, f"{folder}/a", name).status == 403
        assert move(server, name, f"{folder}/b").status == 403
        assert server.request("DELETE", f"/userdata/{segment(name)}").status == 403
    assert server.get("/userdata", dir=f"{folder}/folder").status == 403
    assert server.get("/userdata", dir=folder, recurse="true").json() == ["a"]
    assert [item["path"] for item in tree(server, folder).json()] == [f"{folder}/a"]
    assert {file.name: file.read_text() for file in outside.iterdir()} == {"secret": "secret"}


def test_links_inside_are_followed_but_not_without_end(
    server: Client, folder: str, user_folder: Path
) -> None:
    store(server, f"{folder}/a", b"1")
    (user_folder / folder / "b").symlink_to("a")
    (user_folder / folder / "loop").symlink_to(".")
    (user_folder / folder / "nowhere").symlink_to("none")
    assert read(server, f"{folder}/b").body == b"1"
    assert read(server, f"{folder}/loop/loop/a").body == b"1"
    assert server.get("/userdata", dir=folder, recurse="true").json() == ["a", "b"]


def test_reserved_and_unreadable_names_are_not_listed(
    server: Client, folder: str, user_folder: Path
) -> None:
    store(server, f"{folder}/a", b"1")
    here = user_folder / folder
    (here / "__secret").write_text("x")
    (here / "__hidden").mkdir()
    (here / "__hidden" / "x").write_text("x")
    (here / f".{uuid.uuid4().hex}.part").write_text("half a file")
    Path(os.fsdecode(os.fsencode(here) + b"/\xff")).write_text("x")
    os.mkfifo(here / "pipe")
    assert server.get("/userdata", dir=folder, recurse="true").json() == ["a"]
    assert [item["name"] for item in tree(server, folder).json()] == ["a"]
    assert read(server, f"{folder}/pipe").status == 404


def test_a_name_may_start_with_one_underscore(server: Client, folder: str) -> None:
    assert store(server, f"{folder}/_a_", b"1").status == 200
    assert read(server, f"{folder}/_a_").body == b"1"


def test_very_deep_folders_are_listed(server: Client, folder: str, user_folder: Path) -> None:
    levels = [user_folder / folder]
    for _ in range(1200):
        levels.append(levels[-1] / "a")
        levels[-1].mkdir(parents=len(levels) == 2)
    (levels[-1] / "end").write_text("x")
    names = server.get("/userdata", dir=folder, recurse="true").json()
    branches = tree(server, folder).json()
    (levels[-1] / "end").unlink()
    for level in reversed(levels):  # what empties temporary folders cannot walk so deep
        level.rmdir()
    assert names == ["a/" * 1200 + "end"]
    assert len(branches) == 1201
