"""Folders as the job of a key sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from executor.folders import Folders
from executor.worker.owned_folders import FileOfOthers, OwnedFolders


class Rights:
    """Everything belongs to whom it is named after."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def may_use(self, owner: str, path: Path) -> bool:
        self.asked.append(path.name)
        return path.name.startswith(owner)

    def claim(self, owner: str, paths: Sequence[Path]) -> None:
        raise AssertionError("folders claim nothing")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    folders = Folders.build(tmp_path)
    folders.make()
    return folders


def test_files_and_folders_of_others_cannot_be_named(folders: Folders) -> None:
    owned = OwnedFolders(folders, Rights(), "ann")
    for name in ("ann.png", "bob.png"):
        (folders.input / name).touch()
        (folders.output / f"{name}-set").mkdir()
    assert owned.annotated_path("ann.png [input]") == folders.input / "ann.png"
    assert owned.below(folders.input, "ann.png") == folders.input / "ann.png"
    assert owned.file_path("output", "ann.png-set") == folders.output / "ann.png-set"
    with pytest.raises(FileOfOthers):
        owned.annotated_path("bob.png")
    with pytest.raises(FileOfOthers):
        owned.below(folders.input, "bob.png")
    with pytest.raises(FileOfOthers):
        owned.file_path("output", "bob.png-set")


def test_what_is_not_there_and_folders_to_write_to_are_everybodys(folders: Folders) -> None:
    rights = Rights()
    owned = OwnedFolders(folders, rights, "ann")
    (folders.output / "bob").mkdir()
    assert owned.below(folders.output, "bob") == folders.output / "bob"
    assert owned.below(folders.output / "bob", "new.png").name == "new.png"
    assert rights.asked == []
