"""File lists in node definitions."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from executor.definitions import NodeDefinition
from executor.folders import Folders
from executor.options import FileOptions


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders.build(tmp_path)
    folders.make()
    return folders


def test_lists_are_filled_in_from_disk_into_a_copy(folders: Folders) -> None:
    for name in ("b.safetensors", "a.safetensors", "readme.txt"):
        (folders.base / "models" / "vae" / name).touch()
    inputs = {
        "required": {"vae_name": [["built in"], {"tooltip": "x"}], "n": ["INT", {"min": 0}]},
        "optional": {"image": [[]]},
    }
    info = {"input": inputs, "output": [], "output_node": False, "name": "L"}
    definition = NodeDefinition(
        name="L", info=info, file_options={"vae_name": "vae", "image": "input_images"}
    )
    original = copy.deepcopy(info)

    filled = FileOptions(folders).fill(definition)

    assert filled["input"] == {
        "required": {
            "vae_name": [["a.safetensors", "b.safetensors", "built in"], {"tooltip": "x"}],
            "n": ["INT", {"min": 0}],
        },
        "optional": {"image": [[]]},
    }
    assert filled["name"] == "L"
    assert info == original


def test_an_unknown_kind_of_file_offers_nothing(folders: Folders) -> None:
    assert FileOptions(folders).names("no such kind") == []


def test_several_lists_come_at_once(folders: Folders) -> None:
    (folders.input / "a.png").touch()
    (folders.input / "notes.txt").touch()

    options = FileOptions(folders)

    assert options.snapshot({"input_images", "vae"}) == {"input_images": ["a.png"], "vae": []}


def test_only_images_may_be_named_without_being_listed(folders: Folders) -> None:
    (folders.output / "x.png").touch()
    (folders.base / "models" / "vae" / "x.png").touch()
    options = FileOptions(folders)

    assert options.has_file("input_images", "x.png [output]")
    assert not options.has_file("input_images", "x.png")
    assert not options.has_file("input_images", "")
    assert not options.has_file("input_images", 3)
    assert not options.has_file("vae", "x.png")
