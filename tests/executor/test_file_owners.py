"""Whose files are."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from executor.definitions import NodeDefinition
from executor.file_owners import FileOwners, shown_files
from executor.folders import Folders
from executor.named_files import NamedFile, named_files, without_choices
from executor.store import Store, now_ms


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders.build(tmp_path / "base")
    folders.make()
    return folders


@pytest.fixture
async def owners(store: Store, folders: Folders) -> AsyncIterator[FileOwners]:
    yield store.file_owners(folders)


def make(folder: Path, name: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    return file


def shown(name: str, kind: str = "output", subfolder: str = "") -> dict[str, object]:
    return {"images": [{"filename": name, "subfolder": subfolder, "type": kind}]}


async def test_the_first_who_claims_a_file_is_its_owner(
    owners: FileOwners, folders: Folders
) -> None:
    file = make(folders.output, "sub/a.png")
    assert not await owners.may_read("ann", file)
    await owners.claim("ann", file)
    await owners.claim("bob", file)
    assert await owners.may_read("ann", file)
    assert not await owners.may_read("bob", file)
    assert set(await owners.written_by("ann", file.parent)) == {"a.png"}
    assert await owners.written_by("bob", file.parent) == {}


async def test_a_file_that_was_changed_since_is_nobodys(
    owners: FileOwners, folders: Folders
) -> None:
    file = make(folders.output, "a.png")
    await owners.claim("ann", file)
    os.utime(file, (1, 1))
    assert not await owners.may_read("ann", file)
    await owners.claim("bob", file)
    assert await owners.may_read("bob", file)


async def test_a_job_owns_what_it_has_written_only(owners: FileOwners, folders: Folders) -> None:
    old, new = make(folders.output, "old.png"), make(folders.output, "new.png")
    os.utime(old, (1, 1))
    for name in ("old.png", "new.png", "missing.png", "../x.png"):
        owners.claim_shown("ann", shown(name), now_ms() - 1000)
    assert await owners.may_read("ann", new)
    assert not await owners.may_read("ann", old)


async def test_a_link_is_what_it_leads_to(owners: FileOwners, folders: Folders) -> None:
    file = make(folders.output, "a.png")
    await owners.claim("ann", file)
    link = folders.input / "link.png"
    link.symlink_to(file)
    assert not await owners.may_read("bob", link)
    assert await owners.may_read("ann", link)


async def test_input_files_of_nobody_are_everybodys(owners: FileOwners, folders: Folders) -> None:
    assert await owners.may_read("ann", make(folders.input, "sub/a.png"))
    mine = make(folders.input, "sub/mine.png")
    await owners.claim("bob", mine)
    assert not await owners.may_read("ann", mine)
    assert await owners.inputs_of_others("ann") == {"sub/mine.png", "sub"}
    assert await owners.inputs_of_others("bob") == frozenset()


async def test_temporary_files_are_forgotten_with_their_folder(
    owners: FileOwners, folders: Folders
) -> None:
    files = [make(folders.temp, "a.png"), make(folders.temp, "sub/b.png")]
    kept = make(folders.output, "c.png")
    for file in (*files, kept):
        await owners.claim("ann", file)
    await owners.forget_temp()
    assert [await owners.may_read("ann", file) for file in (*files, kept)] == [False, False, True]


async def test_names_in_a_graph_are_looked_up(owners: FileOwners, folders: Folders) -> None:
    file = make(folders.input, "sub/a.png")
    await owners.claim("ann", file)

    async def found(text: str, *, is_folder: bool = False) -> bool:
        named = NamedFile("1", "image", text, is_folder)
        return await owners.first_of_others("bob", lambda: [named]) is not None

    for text in ("sub/a.png", "sub/a.png [input]", "sub//./a.png", str(file)):
        assert await found(text), text
    for text in ("a.png", "sub/a.png [output]", "../sub/a.png", "/etc/passwd", "x\0y"):
        assert not await found(text), text
    assert await found("sub", is_folder=True)
    assert not await found("other", is_folder=True)


def test_files_are_found_in_what_nodes_show() -> None:
    item = {"filename": "a.png", "type": "temp"}
    output = {
        "images": [item, {"filename": "b.png", "subfolder": "s", "type": "output"}],
        "result": ["model.glb", "a text", None, {"camera": 1}],
        "text": ["a.png"],
        "animated": [True],
        "odd": {"filename": "c.png", "type": "temp"},
        "wrong": [{"filename": 3, "type": "temp"}, {"filename": "d.png", "type": "user"}],
    }
    assert list(shown_files(output)) == [
        ("temp", "a.png"),
        ("output", "s/b.png"),
        ("output", "model.glb"),
    ]


LOADER = NodeDefinition(
    name="Loader",
    info={
        "input": {
            "required": {
                "image": [["a.png", "b.png"], {"image_upload": True}],
                "video": ["COMBO", {"options": ["a.png", "c.mp4"], "video_upload": True}],
                "sampler": [["a.png", "euler"]],
            },
            "optional": {"text": ["STRING", {}]},
        }
    },
    file_options={"folder": "input_folders"},
)


def test_names_are_in_inputs_of_files_or_say_what_they_are() -> None:
    graph = {
        "1": {
            "class_type": "Loader",
            "inputs": {
                "image": "a.png",
                "sampler": "a.png",
                "text": "b.png [output]",
                "folder": "sub",
                "list": {"__value__": [["/x/y.png"]]},
            },
        },
        "2": {"class_type": "Unknown", "inputs": {"image": "a.png"}},
        "3": {"class_type": "Loader", "inputs": None},
        "4": None,
    }
    assert list(named_files(graph, {"Loader": LOADER})) == [
        NamedFile("1", "image", "a.png"),
        NamedFile("1", "text", "b.png [output]"),
        NamedFile("1", "folder", "sub", is_folder=True),
        NamedFile("1", "list", "/x/y.png"),
    ]
    assert list(named_files([], {})) == []


def test_hidden_files_are_no_choices() -> None:
    required = without_choices(LOADER, LOADER.info, {"a.png"})["input"]["required"]
    assert required["image"][0] == ["b.png"]
    assert required["video"][1]["options"] == ["c.mp4"]
    assert required["sampler"] == [["a.png", "euler"]]
    assert without_choices(LOADER, LOADER.info, frozenset()) is LOADER.info


async def test_a_file_is_its_owners_before_its_record_is_written(
    owners: FileOwners, folders: Folders
) -> None:
    with owners.holding("ann") as hold:
        hold(folders.input / "a.png")
        file = make(folders.input, "a.png")
        assert await owners.may_read("ann", file)
        assert not await owners.may_read("bob", file)
    assert await owners.may_read("bob", file), "nobody has claimed it"
