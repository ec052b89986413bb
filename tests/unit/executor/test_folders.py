from __future__ import annotations

import os
from pathlib import Path

import pytest

from executor.extra_paths import ExtraPath
from executor.folders import (
    MODEL_KINDS,
    FileNotListed,
    Folders,
    OutsideFolder,
    UnknownKind,
    inside,
    split_annotation,
)


def put(path: Path, age: float = 10.0) -> Path:
    """A small file in a folder that was last changed some seconds ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    old = path.stat().st_mtime - age
    os.utime(path.parent, (old, old))
    return path


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = Folders.build(tmp_path / "base")
    made.make()
    return made


def test_kinds_come_in_the_documented_order(folders: Folders) -> None:
    assert list(folders.models) == list(MODEL_KINDS)
    assert list(folders.models)[:6] == [
        "checkpoints", "configs", "loras", "vae", "text_encoders", "diffusion_models",
    ]  # fmt: skip
    assert list(folders.models)[19:21] == ["model_patches", "audio_encoders"]
    assert list(folders.models)[-3:] == ["datasets", "fonts", "tokenizers"]


def test_making_creates_every_missing_folder_and_keeps_files(tmp_path: Path) -> None:
    kept = put(tmp_path / "base/models/checkpoints/a.ckpt")
    made = Folders.build(tmp_path / "base")
    made.make()
    made.make()
    assert kept.exists()
    for path in (made.input, made.output, made.temp, made.user, made.custom_nodes[0]):
        assert path.is_dir()
    assert (made.base / "models/audio_encoders").is_dir()


def test_building_makes_nothing_on_disk(tmp_path: Path) -> None:
    Folders.build(tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_overrides_replace_the_folders_below_base(tmp_path: Path) -> None:
    made = Folders.build(
        tmp_path / "base",
        output_dir=tmp_path / "o",
        input_dir=tmp_path / "i",
        temp_dir=tmp_path / "t",
        user_dir=tmp_path / "u",
    )
    assert (made.output, made.input, made.user) == (tmp_path / "o", tmp_path / "i", tmp_path / "u")
    assert made.temp == tmp_path / "t" / "temp"
    assert tmp_path / "o" / "loras" in made.models["loras"]


def test_names_are_sorted_relative_and_of_model_extensions_only(folders: Folders) -> None:
    root = folders.base / "models/checkpoints"
    for name in ("b.safetensors", "a.CKPT", "sub/c.sft", "notes.txt", ".git/d.ckpt"):
        put(root / name)
    assert folders.filename_list("checkpoints") == ["a.CKPT", "b.safetensors", "sub/c.sft"]


def test_configs_are_yaml_files(folders: Folders) -> None:
    put(folders.base / "models/configs/v1.yaml")
    put(folders.base / "models/configs/v1.ckpt")
    assert folders.filename_list("configs") == ["v1.yaml"]


def test_old_kind_names_mean_the_new_kinds(folders: Folders) -> None:
    put(folders.base / "models/unet/x.safetensors")
    put(folders.base / "models/clip/y.safetensors")
    assert folders.filename_list("unet") == ["x.safetensors"]
    assert folders.filename_list("text_encoders") == ["y.safetensors"]


def test_an_unknown_kind_is_refused_with_the_known_ones(folders: Folders) -> None:
    with pytest.raises(UnknownKind, match="checkpoints"):
        folders.filename_list("cheese")


def test_models_saved_in_the_output_folder_are_listed(folders: Folders) -> None:
    saved = put(folders.output / "checkpoints/merged.safetensors")
    assert folders.filename_list("checkpoints") == ["merged.safetensors"]
    assert folders.full_path("checkpoints", "merged.safetensors") == saved


def test_additional_checkpoint_folders_come_last(tmp_path: Path) -> None:
    packaged = put(tmp_path / "packaged/star.safetensors")
    made = Folders.build(tmp_path / "base", extra_checkpoints=[packaged.parent])
    assert made.models["checkpoints"][-1] == packaged.parent
    assert made.filename_list("checkpoints") == ["star.safetensors"]
    own = put(tmp_path / "base/models/checkpoints/star.safetensors")
    assert made.full_path("checkpoints", "star.safetensors") == own
    assert made.filename_list("checkpoints") == ["star.safetensors"]


def test_a_default_section_is_searched_first_in_its_own_order(tmp_path: Path) -> None:
    config = tmp_path / "extra.yaml"
    config.write_text("one:\n  loras: last\ntwo:\n  is_default: true\n  loras: |\n    a\n    b\n")
    made = Folders.build(tmp_path / "base", extra_configs=[config])
    standard = tmp_path / "base/models/loras"
    names = [tmp_path / "a", tmp_path / "b", standard]
    assert made.models["loras"][:3] == names
    assert made.models["loras"][-1] == tmp_path / "last"


def test_a_new_kind_lists_every_file(folders: Folders, tmp_path: Path) -> None:
    put(tmp_path / "far/model.gguf")
    folders.add(ExtraPath(kind="llm", path=tmp_path / "far"))
    assert folders.filename_list("llm") == ["model.gguf"]


def test_adding_a_folder_twice_searches_it_once(folders: Folders, tmp_path: Path) -> None:
    for is_default in (False, False, True):
        folders.add(ExtraPath(kind="vae", path=tmp_path / "v", is_default=is_default))
    assert folders.models["vae"].count(tmp_path / "v") == 1
    assert folders.models["vae"][0] == tmp_path / "v"


def test_links_are_followed_also_in_a_loop(folders: Folders, tmp_path: Path) -> None:
    put(tmp_path / "big disk/m.safetensors")
    root = folders.base / "models/checkpoints"
    (root / "linked").symlink_to(tmp_path / "big disk")
    (root / "file.ckpt").symlink_to(tmp_path / "big disk/m.safetensors")
    (root / "loop").symlink_to(root)
    (root / "broken.ckpt").symlink_to(tmp_path / "nothing")
    assert folders.filename_list("checkpoints") == ["file.ckpt", "linked/m.safetensors"]
    assert folders.full_path("checkpoints", "linked/m.safetensors").is_file()


def test_a_new_file_shows_at_once_in_a_settled_and_in_a_fresh_folder(folders: Folders) -> None:
    root = folders.base / "models/vae"
    put(root / "a.pt")
    assert folders.filename_list("vae") == ["a.pt"]
    (root / "b.pt").write_bytes(b"x")
    assert folders.filename_list("vae") == ["a.pt", "b.pt"]
    (root / "c.pt").write_bytes(b"x")
    (root / "a.pt").unlink()
    assert folders.filename_list("vae") == ["b.pt", "c.pt"]


def test_an_unchanged_folder_is_not_walked_again(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folders.base / "models/gligen"
    put(root / "a.pt")
    assert folders.filename_list("gligen") == ["a.pt"]
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail(f"walked {path}"))
    assert folders.filename_list("gligen") == ["a.pt"]


def test_a_returned_list_belongs_to_the_caller(folders: Folders) -> None:
    put(folders.base / "models/vae/a.pt")
    folders.filename_list("vae").clear()
    assert folders.filename_list("vae") == ["a.pt"]


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "..", "a\0b", "../checkpoints2/x"]
)
def test_names_that_leave_a_folder_are_refused(folders: Folders, name: str) -> None:
    put(folders.base / "models/checkpoints2/x")
    with pytest.raises(OutsideFolder):
        folders.find("checkpoints", name)
    with pytest.raises(OutsideFolder):
        folders.annotated_path(name)


def test_inside_normalises_and_allows_the_folder_itself(tmp_path: Path) -> None:
    assert inside(tmp_path, "a/./b//c") == tmp_path / "a/b/c"
    assert inside(tmp_path, "") == tmp_path
    assert inside(tmp_path, "%2e%2e/..c") == tmp_path / "%2e%2e/..c"  # nothing is decoded
    assert inside(Path("/"), "etc") == Path("/etc")


def test_a_missing_model_is_named_with_the_folders_searched(folders: Folders) -> None:
    assert folders.find("loras", "no.safetensors") is None
    with pytest.raises(FileNotListed, match=r"no\.safetensors.*models/loras"):
        folders.full_path("loras", "no.safetensors")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cat.png", ("cat.png", None)),
        ("cat.png [output]", ("cat.png", "output")),
        ("sub/cat.png [temp]", ("sub/cat.png", "temp")),
        ("cat.png_[input]", ("cat.png", "input")),
        ("cat [output].png", ("cat [output].png", None)),
        ("[input]", ("", "input")),
    ],
)
def test_annotations_are_cut_off_with_the_character_before(
    name: str, expected: tuple[str, str | None]
) -> None:
    assert split_annotation(name) == expected


def test_annotated_names_choose_the_folder(folders: Folders) -> None:
    assert folders.annotated_path("a.png") == folders.input / "a.png"
    assert folders.annotated_path("a.png", default="output") == folders.output / "a.png"
    assert folders.annotated_path("s/a.png [temp]") == folders.temp / "s/a.png"


def test_only_three_file_types_exist(folders: Folders) -> None:
    assert folders.directory("temp") == folders.temp
    with pytest.raises(UnknownKind, match="input, output, temp"):
        folders.directory("user")
