"""Files that nodes write: counters, metadata, nothing half written, nothing overwritten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from executor.folders import OutsideFolder
from executor.worker.contract import read_contract
from nodes.context import NodeSettings
from nodes.registry import NODE_CLASSES
from nodes.saved_files import save_target
from nodes.saved_images import save_images
from nodes.saving import PreviewImage, SaveImage
from tests.nodes.context import node_context

ONE = torch.zeros(1, 4, 4, 3)


def saved_name(prefix: str) -> str:
    """Save one image; its file name."""
    name: str = SaveImage().run(ONE, prefix)["ui"]["images"][0]["filename"]
    return name


def test_the_counter_goes_on_and_sees_what_others_wrote(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        assert [saved_name("a"), saved_name("a")] == ["a_00001_.png", "a_00002_.png"]
        (folders.output / "a_00007_.png").touch()
        assert saved_name("a") == "a_00008_.png"
        assert saved_name("b") == "b_00001_.png"


def test_a_file_that_another_process_made_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        target = save_target(folders, "output", "a")
        save_images(target, ONE, metadata=None, compress_level=1)
        modified = folders.output.stat().st_mtime_ns
        other = folders.output / "a_00002_.png"
        other.write_bytes(b"other")
        os.utime(folders.output, ns=(modified, modified))  # as if within one tick of the clock
        (entry,) = save_images(target, ONE, metadata=None, compress_level=1)
        assert entry["filename"] == "a_00003_.png"
        assert other.read_bytes() == b"other"


_WRITER = """
import sys
from pathlib import Path
from nodes.saved_files import SaveTarget, save_files
target = SaveTarget(folder=Path(sys.argv[1]), subfolder="", name="a", file_type="output")
for number in range(20):
    content = f"{sys.argv[2]} {number}"
    for entry in save_files(target, [lambda path: path.write_text(content)], "txt"):
        print(entry["filename"], content)
"""


def test_of_processes_that_write_at_once_none_takes_the_name_of_another(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", _WRITER, str(tmp_path), name] for name in ("x", "y", "z")]
    writers = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True) for one in commands]
    lines = [line for one in writers for line in one.communicate(timeout=60)[0].splitlines()]
    written = dict(line.split(" ", 1) for line in lines)
    assert len(written) == len(lines) == 60
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == written


def test_only_finished_files_are_left(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        saved_name("a")
        assert [path.name for path in folders.output.iterdir()] == ["a_00001_.png"]
        with pytest.raises((TypeError, ValueError)):
            SaveImage().run(torch.zeros(1, 4, 4, 7), "bad")
        assert [path.name for path in folders.output.iterdir()] == ["a_00001_.png"]


@pytest.mark.parametrize("prefix", ["../x", "/x", "a/../../x"])
def test_a_prefix_that_leaves_the_folder_is_refused(tmp_path: Path, prefix: str) -> None:
    with node_context(tmp_path), pytest.raises(OutsideFolder):
        SaveImage().run(ONE, prefix)


def test_metadata_is_left_out_if_the_settings_say_so(tmp_path: Path) -> None:
    settings = NodeSettings(disable_metadata=True)
    with node_context(tmp_path, settings=settings) as folders:
        SaveImage().run(ONE, "a", prompt={"1": {}}, extra_pnginfo={"workflow": 1})
        with Image.open(folders.output / "a_00001_.png") as picture:
            assert getattr(picture, "text", {}) == {}


def test_each_run_writes_its_own_graph(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        for number in (1, 2):
            SaveImage().run(ONE, "a", prompt={"n": number})
        for number in (1, 2):
            with Image.open(folders.output / f"a_0000{number}_.png") as picture:
                assert json.loads(picture.text["prompt"]) == {"n": number}  # type: ignore[attr-defined]


def test_previews_go_to_temp_under_a_name_of_their_own(tmp_path: Path) -> None:
    with node_context(tmp_path) as folders:
        node = PreviewImage()
        entries = [node.run(ONE)["ui"]["images"][0], PreviewImage().run(ONE)["ui"]["images"][0]]
        assert {entry["type"] for entry in entries} == {"temp"}
        assert len({entry["filename"] for entry in entries}) == 2
        assert len(list(folders.temp.iterdir())) == 2


@pytest.mark.parametrize(
    "name", [name for name, node in NODE_CLASSES.items() if node.IN_BACKGROUND]
)
def test_nodes_that_write_files_run_beside_others(name: str) -> None:
    assert read_contract(name, NODE_CLASSES[name]).in_background
