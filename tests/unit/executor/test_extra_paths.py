from __future__ import annotations

from pathlib import Path

import pytest

from executor.extra_paths import ExtraPath, ExtraPathsError, read_extra_paths


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "conf" / "extra_model_paths.yaml"
    file.parent.mkdir()
    file.write_text(text)
    return file


def test_each_line_of_a_kind_is_a_folder_below_the_base_path(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "webui:\n  base_path: /models\n  checkpoints: a\n  unet: |\n    b\n\n    /c\n",
    )
    assert read_extra_paths(file) == [
        ExtraPath(kind="checkpoints", path=Path("/models/a")),
        ExtraPath(kind="unet", path=Path("/models/b")),
        ExtraPath(kind="unet", path=Path("/c")),
    ]


def test_paths_without_base_are_relative_to_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "s:\n  loras: ../loras\nt:\n  base_path: deep\n  vae: v\n")
    paths = [extra.path for extra in read_extra_paths(file)]
    assert paths == [tmp_path / "loras", tmp_path / "conf/deep/v"]


def test_home_and_variables_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("DISK", "/disk")
    file = write(
        tmp_path,
        "a:\n  base_path: ~/m\n  vae: v\nb:\n  base_path: $DISK/x\n  custom_nodes: n\n",
    )
    paths = [extra.path for extra in read_extra_paths(file)]
    assert paths == [Path("/home/someone/m/v"), Path("/disk/x/n")]


def test_default_sections_are_marked(tmp_path: Path) -> None:
    file = write(tmp_path, "a:\n  is_default: true\n  vae: v\nb:\n  vae: w\n")
    assert [extra.is_default for extra in read_extra_paths(file)] == [True, False]


@pytest.mark.parametrize("text", ["", "a:\n", "a:\n  base_path:\n  vae:\n"])
def test_empty_files_sections_and_kinds_add_nothing(tmp_path: Path, text: str) -> None:
    assert read_extra_paths(write(tmp_path, text)) == []


@pytest.mark.parametrize(
    "text",
    ["[1, 2]", "a: text", "a:\n  vae: [x]", "a: [", "a: !!python/object/apply:os.getcwd []"],
)
def test_other_shapes_are_refused_with_the_file_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(ExtraPathsError, match=r"extra_model_paths\.yaml"):
        read_extra_paths(write(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExtraPathsError):
        read_extra_paths(tmp_path / "none.yaml")
