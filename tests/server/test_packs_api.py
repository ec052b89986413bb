"""GET /workflow_templates, /i18n, /global_subgraphs: files that node packs bring."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.client import Client

PREFIXES = pytest.mark.parametrize("prefix", ["", "/api"])
TEMPLATE_FOLDERS = ["example_workflows", "example", "examples", "workflow", "workflows"]


class Packs:
    """A server and its folder `custom_nodes`."""

    def __init__(self, client: Client, folder: Path) -> None:
        self.client = client
        self.folder = folder

    def write(self, name: str, content: Any = None) -> Path:
        """A file of a pack: JSON, or bytes as they are."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return file

    def get(self, path: str) -> Any:
        reply = self.client.get(path)
        assert reply.status == 200
        return reply.json()


@pytest.fixture
def new_packs(new_twin: Callable[..., Client], tmp_path: Path) -> Callable[..., Packs]:
    """Starts a server with these settings."""

    def start(**settings: object) -> Packs:
        return Packs(new_twin(**settings), tmp_path / "twin1" / "custom_nodes")

    return start


@pytest.fixture
def packs(new_packs: Callable[..., Packs]) -> Packs:
    return new_packs()


@PREFIXES
def test_without_packs_there_is_nothing(packs: Packs, prefix: str) -> None:
    packs.write("a-pack/nodes.py", b"")
    packs.write("single.py", b"")
    for path in ("/workflow_templates", "/i18n", "/global_subgraphs"):
        assert packs.get(prefix + path) == {}


# Templates


@PREFIXES
@pytest.mark.parametrize("folder", TEMPLATE_FOLDERS)
def test_templates_are_listed_and_read(packs: Packs, folder: str, prefix: str) -> None:
    packs.write(f"a-pack/{folder}/second one.json", {"nodes": [2]})
    packs.write(f"a-pack/{folder}/first.json", {"nodes": [1]})
    packs.write(f"a-pack/{folder}/first.jpg", b"a picture")
    packs.write(f"a-pack/{folder}/deeper/no.json", {})
    assert packs.get(f"{prefix}/workflow_templates") == {"a-pack": ["first", "second one"]}
    reply = packs.client.get(f"{prefix}/workflow_templates/a-pack/second%20one.json")
    assert (reply.status, reply.json()) == (200, {"nodes": [2]})
    assert reply.headers["content-type"] == "application/json"
    picture = packs.client.get(f"{prefix}/workflow_templates/a-pack/first.jpg")
    assert (picture.body, picture.headers["content-type"]) == (b"a picture", "image/jpeg")


def test_the_first_of_two_folders_counts(packs: Packs) -> None:
    packs.write("a/workflows/x.json", 2)
    packs.write("a/example_workflows/x.json", 1)
    assert packs.get("/workflow_templates") == {"a": ["x"]}
    assert packs.get("/workflow_templates/a/x.json") == 1


@pytest.mark.parametrize(
    "path",
    [
        "a/none.json",
        "none/x.json",
        "a/..%2F..%2Fsecret.json",
        "a/..%2Fsecret.json",
        "..%2Fa/x.json",
        "a/%2Fetc%2Fpasswd",
        "a/x.json%00",
        "a/.hidden.json",
        "a/deeper",
        "off.disabled/x.json",
        "__pycache__/x.json",
        "a/" + "n" * 300,
    ],
)
def test_nothing_but_templates_is_handed_out(packs: Packs, path: str) -> None:
    for name in ("a/example", "off.disabled/example", "__pycache__/example", "a/example/deeper"):
        packs.write(f"{name}/x.json", 1)
    packs.write("a/secret.json", 1)
    packs.write("secret.json", 1)
    packs.write("a/example/.hidden.json", 1)
    reply = packs.client.get(f"/workflow_templates/{path}")
    assert (reply.status, reply.json()["error"]["type"]) == (404, "not_found")
    assert packs.get("/workflow_templates/a/x.json") == 1  # the one that may be read


def test_a_page_in_a_template_folder_is_a_download(packs: Packs) -> None:
    packs.write("a/example/x.html", b"<script>alert(1)</script>")
    headers = packs.client.get("/workflow_templates/a/x.html").headers
    assert headers["content-disposition"].startswith("attachment")


# Which packs count


def test_packs_that_are_switched_off_are_skipped(packs: Packs) -> None:
    for pack in ("on", "off.disabled", "__pycache__"):
        packs.write(f"{pack}/example/x.json")
        packs.write(f"{pack}/locales/en/main.json", {pack: 1})
        packs.write(f"{pack}/subgraphs/x.json")
    assert packs.get("/workflow_templates") == {"on": ["x"]}
    assert packs.get("/i18n") == {"en": {"on": 1}}
    entries = packs.get("/global_subgraphs").values()
    assert [entry["info"]["node_pack"] for entry in entries] == ["custom_nodes.on"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"disable_custom_nodes": True}, []),
        ({"disable_custom_nodes": True, "whitelist_custom_nodes": "b"}, ["b"]),
        ({"whitelist_custom_nodes": "b"}, ["a", "b"]),
    ],
)
def test_settings_decide_which_packs_count(
    new_packs: Callable[..., Packs], settings: dict[str, object], expected: list[str]
) -> None:
    packs = new_packs(**settings)
    for pack in ("a", "b"):
        packs.write(f"{pack}/example/x.json")
        packs.write(f"{pack}/locales/en/main.json", {pack: 1})
        packs.write(f"{pack}/subgraphs/x.json")
    assert list(packs.get("/workflow_templates")) == expected
    assert list(packs.get("/i18n").get("en", {})) == expected
    assert len(packs.get("/global_subgraphs")) == len(expected)


def test_packs_of_other_folders_count_too(new_packs: Callable[..., Packs], tmp_path: Path) -> None:
    config = tmp_path / "extra.yaml"
    config.write_text("more:\n  base_path: elsewhere\n  custom_nodes: packs\n")
    packs = new_packs(extra_model_paths=str(config))
    packs.write("a/example/x.json", "first")
    packs.write("../../elsewhere/packs/a/example/y.json", "second")
    packs.write("../../elsewhere/packs/b/example/z.json", "third")
    assert packs.get("/workflow_templates") == {"a": ["x"], "b": ["z"]}
    assert packs.get("/workflow_templates/b/z.json") == "third"


def test_a_linked_pack_counts(packs: Packs, tmp_path: Path) -> None:
    packs.write("../../somewhere/example/x.json", 1)
    (packs.folder / "linked").symlink_to(tmp_path / "somewhere")
    assert packs.get("/workflow_templates/linked/x.json") == 1


def test_packs_come_and_go_while_the_server_runs(packs: Packs) -> None:
    file = packs.write("a/example/x.json")
    assert packs.get("/workflow_templates") == {"a": ["x"]}
    packs.write("b/workflows/y.json")
    file.unlink()
    assert packs.get("/workflow_templates") == {"b": ["y"]}


# Translations


@PREFIXES
def test_translations_are_merged_over_packs(packs: Packs, prefix: str) -> None:
    packs.write("a/locales/en/main.json", {"x": {"one": 1, "list": [1]}, "same": "a"})
    packs.write("a/locales/en/nodeDefs.json", {"Node": {"name": "A"}})
    packs.write("a/locales/en/commands.json", {"c": {"label": "C"}})
    packs.write("a/locales/en/settings.json", {"s": {"name": "S"}})
    packs.write("a/locales/en/other.json", {"not": "read"})
    packs.write("a/locales/zh-TW/main.json", {"x": "你"})
    packs.write("b/locales/en/main.json", {"x": {"two": 2, "list": [2]}, "same": "b"})
    packs.write("b/locales/en/nodeDefs.json", {"Node": {"inputs": 1}, "Other": {}})
    assert packs.get(f"{prefix}/i18n") == {
        "en": {
            "x": {"one": 1, "two": 2, "list": [1, 2]},
            "same": "b",
            "nodeDefs": {"Node": {"name": "A", "inputs": 1}, "Other": {}},
            "commands": {"c": {"label": "C"}},
            "settings": {"s": {"name": "S"}},
        },
        "zh-TW": {"x": "你"},
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{broken",
        b"[1]",
        b"\xff\xfe",
        b'{"x":' * 90_000,
        b'{"x":' * 101 + b"1" + b"}" * 101,
        b'{"x": "\\ud800"}',
    ],
)
def test_broken_translations_are_skipped_and_logged(
    packs: Packs, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    packs.write("a/locales/en/main.json", content)
    packs.write("a/locales/en/nodeDefs.json", {"Node": 1})
    packs.write("b/locales/en/main.json", {"y": 1})
    with caplog.at_level(logging.WARNING):
        assert packs.get("/i18n") == {"en": {"nodeDefs": {"Node": 1}, "y": 1}}
    assert os.path.join("a", "locales", "en", "main.json") in caplog.text  # noqa: PTH118


def test_changed_translations_are_read_anew_and_others_are_not(packs: Packs) -> None:
    file = packs.write("a/locales/en/main.json", {"x": 1})
    assert packs.get("/i18n") == {"en": {"x": 1}}
    status = file.stat()
    file.write_text(json.dumps({"x": 2}))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert packs.get("/i18n") == {"en": {"x": 1}}  # by its state the file is the same
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert packs.get("/i18n") == {"en": {"x": 2}}
    file.unlink()
    assert packs.get("/i18n") == {}


# Subgraphs


@PREFIXES
def test_subgraphs_are_listed_and_read(packs: Packs, prefix: str) -> None:
    packs.write("a-pack/subgraphs/My graph.json", b'{"nodes":  []}\n')
    packs.write("a-pack/subgraphs/notes.txt", b"none")
    subgraphs = packs.get(f"{prefix}/global_subgraphs")
    [(key, entry)] = subgraphs.items()
    assert entry == {
        "source": "custom_node",
        "name": "My graph",
        "info": {"node_pack": "custom_nodes.a-pack"},
    }
    one = packs.get(f"{prefix}/global_subgraphs/{key}")
    assert one == entry | {"data": '{"nodes":  []}\n'}


@PREFIXES
@pytest.mark.parametrize("key", ["none", "..%2F..%2Fx", "%00", "n" * 3000])
def test_an_unknown_subgraph_is_null(packs: Packs, prefix: str, key: str) -> None:
    packs.write("a/subgraphs/x.json")
    reply = packs.client.get(f"{prefix}/global_subgraphs/{key}")
    assert (reply.status, reply.body) == (200, b"null")


def test_ids_of_subgraphs_differ_and_are_the_same_elsewhere(
    new_twin: Callable[..., Client], tmp_path: Path
) -> None:
    ids = []
    for number in (1, 2):
        packs = Packs(new_twin(), tmp_path / f"twin{number}" / "custom_nodes")
        for name in ("a/subgraphs/x", "b/subgraphs/x", "a/subgraphs/y"):
            packs.write(f"{name}.json", {"server": number})
        ids.append(set(packs.get("/global_subgraphs")))
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3
