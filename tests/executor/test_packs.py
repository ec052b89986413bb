"""Which node packs there are, and which paths they serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executor.fingerprint import definitions_fingerprint, wanted_packs
from executor.packs import Pack, PackRoute, RouteTable, find_packs
from executor.worker_config import WorkerConfig


def write(file: Path, text: str = "") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "custom_nodes"
    write(root / "b-pack" / "__init__.py")
    write(root / "single.py")
    write(root / "old.disabled" / "__init__.py")
    write(root / "off.py.disabled")
    write(root / "__pycache__" / "x.pyc")
    write(root / ".git" / "config")
    write(root / ".hidden.py")
    write(root / "__init__.py")
    write(root / "notes.txt")
    write(root / "A.pack" / "__init__.py")
    for folder in (root, root / "b-pack"):
        (folder / "itself").symlink_to("itself")  # which no question about it can follow
        (folder / "itself.py").symlink_to("itself.py")
    return root


def names(packs: list[Pack]) -> list[str]:
    return [pack.name for pack in packs]


def test_folders_and_single_files_are_packs_and_nothing_else(root: Path) -> None:
    assert names(find_packs([root])) == ["A.pack", "b-pack", "single"]


def test_a_pack_knows_what_is_imported_and_how_clients_know_it(root: Path) -> None:
    dotted, dashed, single = find_packs([root])
    assert (dashed.label, dashed.module_name) == ("custom_nodes.b-pack", "custom_nodes.b-pack")
    assert (dotted.label, dotted.module_name) == ("custom_nodes.A.pack", "custom_nodes.A_x_pack")
    assert dashed.entry == root / "b-pack" / "__init__.py"
    assert single.entry == root / "single.py"
    assert (dashed.is_folder, single.is_folder) == (True, False)


def test_only_packs_that_are_named_are_found(root: Path) -> None:
    assert names(find_packs([root], only=["b-pack", "single.py", "none"])) == ["b-pack", "single"]
    assert names(find_packs([root], only=["single"])) == ["single"]
    assert find_packs([root], only=[]) == []


def test_the_first_of_two_packs_of_one_name_is_used(root: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    write(more / "b-pack" / "__init__.py")
    write(more / "c" / "__init__.py")
    found = find_packs([root, tmp_path / "missing", more])
    assert names(found) == ["A.pack", "b-pack", "single", "c"]
    assert found[1].path == root / "b-pack"


def test_a_link_to_a_folder_is_a_pack(root: Path, tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "work" / "__init__.py").parent
    (root / "linked").symlink_to(elsewhere)
    (root / "broken").symlink_to(tmp_path / "nowhere")
    assert "linked" in names(find_packs([root]))
    assert "broken" not in names(find_packs([root]))


@pytest.mark.parametrize(
    ("method", "path", "served"),
    [
        ("GET", "/a", True),
        ("POST", "/a", False),
        ("GET", "/a/b", False),
        ("GET", "/items/x", True),
        ("GET", "/items/x/y", False),
        ("DELETE", "/any", True),
    ],
)
def test_a_path_is_served_if_method_and_whole_path_match(
    method: str, path: str, served: bool
) -> None:
    table = RouteTable(
        [
            PackRoute(method="GET", pattern="/a"),
            PackRoute(method="GET", pattern="/items/(?P<name>[^{}/]+)"),
            PackRoute(method="*", pattern="/any"),
        ]
    )
    assert table.serves(method, path) is served


def test_the_fingerprint_covers_the_files_of_packs_that_are_loaded(
    root: Path, tmp_path: Path
) -> None:
    def fingerprint(**options: object) -> str:
        return definitions_fingerprint(WorkerConfig(base=str(tmp_path), **options))  # type: ignore[arg-type]

    before, without = fingerprint(), fingerprint(custom_nodes=False)
    write(root / "b-pack" / "deep" / "more.py", "x = 1")
    changed = fingerprint()
    write(root / "single.py", "x = 2")
    changed_again = fingerprint()
    write(root / "old.disabled" / "more.py", "x = 3")
    write(root / "b-pack" / ".venv" / "x.py")
    (root / "b-pack" / "broken.py").symlink_to(tmp_path / "nowhere")

    assert len({before, changed, changed_again}) == 3
    assert fingerprint() == changed_again
    assert fingerprint(custom_nodes=False) == without
    chosen = {"custom_nodes": False, "whitelist_custom_nodes": ["single"]}
    assert fingerprint(**chosen) not in (without, changed_again)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["A.pack", "b-pack", "single"]),
        ({"custom_nodes": False}, []),
        ({"custom_nodes": False, "whitelist_custom_nodes": ["single.py"]}, ["single"]),
        ({"whitelist_custom_nodes": ["single.py"]}, ["A.pack", "b-pack", "single"]),
    ],
)
def test_settings_choose_packs(
    root: Path, tmp_path: Path, options: dict[str, Any], expected: list[str]
) -> None:
    assert names(wanted_packs(WorkerConfig(base=str(tmp_path), **options))) == expected
