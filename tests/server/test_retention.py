"""Which files of a folder have to go, and that no others do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from server.retention import Limits, delete, look_into, remove_folders, surplus

NOW = 1_000_000.0
DAY = 86_400


def put(root: Path, name: str, age_s: float, size: int = 10) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (NOW - age_s, NOW - age_s))
    return path


def gone(root: Path, limits: Limits, *, needed: set[str] | None = None) -> list[str]:
    files = look_into(root, NOW).files
    found = surplus(files, limits, NOW, NOW - 60, needed or set())
    return ["/".join(file.parts) for file in found]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "output"
    for name, age_s in (("new", 1), ("b", 300), ("sub/deep/a", 400), ("c", 200)):
        put(root, name, age_s)
    return root


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (Limits(), []),
        (Limits(files=3), ["sub/deep/a"]),
        (Limits(files=1), ["sub/deep/a", "b", "c"]),
        (Limits(size=25), ["sub/deep/a", "b"]),
        (Limits(days=250 / DAY), ["sub/deep/a", "b"]),
        (Limits(days=250 / DAY, files=3, size=5), ["sub/deep/a", "b", "c"]),
        (Limits(days=1, files=4, size=40), []),
    ],
)
def test_the_oldest_go_until_the_rest_is_within_the_limits(
    root: Path, limits: Limits, expected: list[str]
) -> None:
    assert gone(root, limits) == expected


def test_files_that_are_needed_stay_and_others_go_in_their_place(root: Path) -> None:
    assert gone(root, Limits(files=3), needed={"a"}) == ["b"]


def test_links_hidden_files_and_spared_folders_are_not_looked_at(
    root: Path, tmp_path: Path
) -> None:
    outside = put(tmp_path, "outside/precious", 9000)
    (root / "link").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    put(root, ".hidden", 9000)
    put(root, ".deadbeef.part", 9000)
    put(root, "checkpoints/model.safetensors", 9000)
    contents = look_into(root, NOW, spared={os.path.realpath(root / "checkpoints")})
    assert sorted(file.name for file in contents.files) == ["a", "b", "c", "new"]


def test_what_has_changed_since_it_was_found_is_not_deleted(root: Path, tmp_path: Path) -> None:
    files = look_into(root, NOW).files
    precious = put(tmp_path, "outside/deep/a", 400)
    (root / "sub").rename(root / "moved")
    (root / "sub").symlink_to(tmp_path / "outside")
    put(root, "b", 5)
    (root / "c").unlink()
    assert delete(root, files) == 1
    assert precious.exists() and (root / "b").exists() and (root / "moved/deep/a").exists()
    assert not (root / "new").exists()


def test_folders_that_are_empty_and_old_are_removed_and_no_others(root: Path) -> None:
    (root / "fresh").mkdir()
    before = (root / "fresh").stat().st_mtime
    for name in ("old/older", "full"):
        (root / name).mkdir(parents=True)
        os.utime(root / name, (NOW, NOW))
    empty = look_into(root, before).empty_folders
    assert sorted(empty) == [("full",), ("old", "older")]
    put(root, "full/file", 0)
    remove_folders(root, empty)
    assert sorted(path.name for path in root.iterdir()) == ["b", "c", "fresh", "full", "new", "sub"]


def test_a_folder_that_is_a_link_is_looked_into(root: Path, tmp_path: Path) -> None:
    """As configured folders may be."""
    (tmp_path / "link").symlink_to(root)
    files = look_into(tmp_path / "link", NOW).files
    assert delete(tmp_path / "link", files) == 4


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert look_into(tmp_path / "nowhere", NOW).files == []
