"""`folder_paths` as packs use it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextvars import copy_context
from pathlib import Path

import folder_paths
import pytest
from comfy_api.latest import io

from executor.folders import Folders, OutsideFolder
from executor.options import FileOptions
from executor.worker.describe import describe
from executor.worker.owned_folders import FileOfOthers, OwnedFolders
from nodes.context import NodeContext, Services, enter, leave
from nodes.file_choices import FileChoices
from tests.nodes.context import RecordingReporter


@pytest.fixture(autouse=True)
def _kinds(folders: Folders) -> Iterator[None]:
    """Every test finds the kinds of a fresh process."""
    table = folder_paths.folder_names_and_paths
    before = {kind: (entry, list(entry[0]), set(entry[1])) for kind, entry in table.items()}
    yield
    table.clear()
    for kind, (entry, paths, extensions) in before.items():
        table[kind] = entry
        entry[0][:] = paths
        entry[1].clear()
        entry[1].update(extensions)


def add(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_files_of_a_kind_are_listed_and_found(folders: Folders) -> None:
    loras = folders.models_root / "loras"
    add(loras, "b.safetensors", "sub/a.pt", "notes.txt")
    assert folder_paths.get_filename_list("loras") == ["b.safetensors", "sub/a.pt"]
    assert folder_paths.get_full_path("loras", "sub/a.pt") == str(loras / "sub/a.pt")
    assert folder_paths.get_full_path("loras", "none.pt") is None
    assert folder_paths.get_full_path("no such kind", "b.safetensors") is None
    assert folder_paths.get_full_path_or_raise("loras", "b.safetensors").endswith("b.safetensors")
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        folder_paths.get_full_path_or_raise("loras", "none.pt")


def test_no_name_of_a_model_leads_out_of_its_folder(folders: Folders) -> None:
    add(folders.base, "secret.safetensors")
    for name in ("../../secret.safetensors", str(folders.base / "secret.safetensors")):
        assert folder_paths.get_full_path("loras", name) is None


def test_an_unknown_kind_is_a_key_error() -> None:
    for ask in (folder_paths.get_filename_list, folder_paths.get_folder_paths):
        with pytest.raises(KeyError):
            ask("no such kind")


def test_the_old_names_of_kinds_are_understood(folders: Folders) -> None:
    add(folders.models_root / "unet", "u.safetensors")
    assert folder_paths.get_filename_list("unet") == ["u.safetensors"]
    assert folder_paths.map_legacy("clip") == "text_encoders"
    assert (
        folder_paths.folder_names_and_paths["unet"]
        is folder_paths.folder_names_and_paths["diffusion_models"]
    )
    assert "unet" not in list(folder_paths.folder_names_and_paths)


def test_a_kind_that_a_pack_assigns_is_one_for_everybody(folders: Folders, tmp_path: Path) -> None:
    add(tmp_path, "x.onnx", "y.txt")
    folder_paths.folder_names_and_paths["detectors"] = ([str(tmp_path)], {".onnx"})
    assert folder_paths.get_filename_list("detectors") == ["x.onnx"]
    assert folders.filename_list("detectors") == ["x.onnx"]
    assert folders.full_path("detectors", "x.onnx") == tmp_path / "x.onnx"
    assert "detectors" in folders.models


def test_what_a_pack_appends_in_place_counts(folders: Folders, tmp_path: Path) -> None:
    add(tmp_path, "x.gguf", "y.safetensors")
    paths, extensions = folder_paths.folder_names_and_paths["diffusion_models"]
    paths.append(str(tmp_path))
    assert folder_paths.get_filename_list("diffusion_models") == ["y.safetensors"]
    extensions.add(".gguf")
    assert folder_paths.get_filename_list("unet") == ["x.gguf", "y.safetensors"]
    assert folders.kind_folders("diffusion_models")[-1] == tmp_path


def test_an_extension_added_to_the_shared_ones_holds_for_models_of_all_kinds(
    folders: Folders,
) -> None:
    add(folders.models_root / "loras", "a.gguf")
    add(folders.models_root / "configs", "a.gguf")
    folder_paths.supported_pt_extensions.add(".gguf")
    assert folder_paths.get_filename_list("loras") == ["a.gguf"]
    assert folder_paths.get_filename_list("configs") == []


def test_folders_are_added_last_or_first(folders: Folders, tmp_path: Path) -> None:
    folder_paths.add_model_folder_path("loras", str(tmp_path / "last"))
    folder_paths.add_model_folder_path("loras", str(tmp_path / "first"), is_default=True)
    folder_paths.add_model_folder_path("loras", str(tmp_path / "last"))
    names = folder_paths.get_folder_paths("loras")
    assert names[0] == str(tmp_path / "first")
    assert names[-1] == str(tmp_path / "last")
    assert names.count(str(tmp_path / "last")) == 1
    folder_paths.add_model_folder_path("loras", str(tmp_path / "last"), is_default=True)
    assert folder_paths.get_folder_paths("loras")[0] == str(tmp_path / "last")


def test_a_new_kind_that_is_only_a_folder_lists_every_file(tmp_path: Path) -> None:
    add(tmp_path, "a.json")
    folder_paths.add_model_folder_path("brushes", str(tmp_path))
    assert folder_paths.get_filename_list("brushes") == ["a.json"]


def test_the_list_that_is_handed_out_is_the_callers_own() -> None:
    folder_paths.get_folder_paths("loras").append("/x")
    folder_paths.get_filename_list("loras").append("x")
    assert "/x" not in folder_paths.get_folder_paths("loras")
    assert folder_paths.get_filename_list("loras") == []


class _Chooser:
    """A pack's class whose inputs offer files."""

    RETURN_TYPES = ()
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[object, ...]]]:
        loras = folder_paths.get_filename_list("loras")
        return {
            "required": {
                "plain": (loras,),
                "first": (["None"] + loras, {"default": "None"}),  # noqa: RUF005  (as packs do)
                "last": (loras + ["Other"],),  # noqa: RUF005
                "upper": ([name.upper() for name in loras],),
                "combo": ("COMBO", {"options": ["None"] + loras}),  # noqa: RUF005
            },
            "optional": {},
        }


def test_what_an_input_offers_follows_the_disk_without_asking_the_pack(folders: Folders) -> None:
    definition = describe("Chooser", _Chooser, "Chooser")
    assert definition.file_options == dict.fromkeys(("plain", "first", "last", "combo"), "loras")

    add(folders.models_root / "loras", "a.pt")
    inputs = FileOptions(folders).fill(definition)["input"]["required"]

    assert inputs["plain"] == [["a.pt"]]
    assert inputs["first"] == [["None", "a.pt"], {"default": "None"}]
    assert inputs["last"] == [["a.pt", "Other"]]
    assert inputs["combo"] == ["COMBO", {"options": ["None", "a.pt"]}]
    assert list(inputs["upper"]) == [[]]  # made by the pack: as it was


def test_a_list_that_a_pack_changes_in_place_keeps_its_place_among_the_files(
    folders: Folders,
) -> None:
    add(folders.models_root / "loras", "a.pt", "b.pt")
    names = folder_paths.get_filename_list("loras")
    assert isinstance(names, FileChoices)
    names.insert(0, "None")
    assert names.own_choices() == (["None"], [])
    names.remove("a.pt")
    assert names.own_choices() is None


def test_input_output_temp_and_user_folders_can_be_asked_for_and_set(
    folders: Folders, tmp_path: Path
) -> None:
    assert folder_paths.base_path == str(folders.base)
    assert folder_paths.models_dir == str(folders.models_root)
    for name in ("input", "output", "temp", "user"):
        get = getattr(folder_paths, f"get_{name}_directory")
        assert get() == getattr(folder_paths, f"{name}_directory") == str(getattr(folders, name))
        getattr(folder_paths, f"set_{name}_directory")(str(tmp_path / name))
        assert get() == str(tmp_path / name)
        setattr(folder_paths, f"{name}_directory", str(tmp_path / "assigned"))
        assert get() == str(tmp_path / "assigned")


def test_folders_by_their_type(folders: Folders) -> None:
    assert folder_paths.get_directory_by_type("temp") == str(folders.temp)
    assert folder_paths.get_directory_by_type("elsewhere") is None


def test_a_name_may_say_in_brackets_where_it_is(folders: Folders, tmp_path: Path) -> None:
    add(folders.output, "a.png")
    add(tmp_path, "c.png")
    assert folder_paths.annotated_filepath("a.png [output]") == ("a.png", str(folders.output))
    assert folder_paths.annotated_filepath("a.png") == ("a.png", None)
    assert folder_paths.get_annotated_filepath("a.png") == str(folders.input / "a.png")
    assert folder_paths.get_annotated_filepath("c.png", str(tmp_path)) == str(tmp_path / "c.png")
    assert folder_paths.exists_annotated_filepath("a.png [output]")
    assert not folder_paths.exists_annotated_filepath("a.png")
    assert not folder_paths.exists_annotated_filepath("../output/a.png")
    with pytest.raises(OutsideFolder):
        folder_paths.get_annotated_filepath("/etc/passwd")


def test_within_a_job_a_name_is_that_of_a_file_that_its_key_may_use(folders: Folders) -> None:
    add(folders.input, "a.png")

    class Rights:
        def may_use(self, owner: str, path: Path) -> bool:
            return owner == "ann"

        def claim(self, owner: str, paths: Sequence[Path]) -> None:
            raise AssertionError("nothing is written")

    def path_for(owner: str) -> str:
        services = Services(folders=OwnedFolders(folders, Rights(), owner))
        enter(
            NodeContext(
                prompt_id="",
                node_id="1",
                list_index=0,
                services=services,
                reporter=RecordingReporter(),
            )
        )
        try:
            return folder_paths.get_annotated_filepath("a.png")
        finally:
            leave()

    assert copy_context().run(path_for, "ann") == str(folders.input / "a.png")
    with pytest.raises(FileOfOthers):
        copy_context().run(path_for, "bob")


def test_the_next_name_of_a_file_to_save(folders: Folders) -> None:
    add(folders.output, "sub/cat_00007_.png", "sub/cat_00003_.png", "sub/cats_00009_.png")
    folder, name, number, subfolder, prefix = folder_paths.get_save_image_path(
        "sub/cat", str(folders.output)
    )
    assert (folder, name, number) == (str(folders.output / "sub"), "cat", 8)
    assert (subfolder, prefix) == ("sub", "sub/cat")


def test_a_prefix_may_hold_size_and_date(folders: Folders) -> None:
    year = time.localtime().tm_year
    folder, name, number, *_ = folder_paths.get_save_image_path(
        "%year%/%width%x%height%_%batch_num%", folder_paths.output_directory, 64, 32
    )
    assert Path(folder) == folders.output / str(year)
    assert Path(folder).is_dir()
    assert (name, number) == ("64x32_%batch_num%", 1)


def test_a_prefix_that_leaves_the_folder_is_refused(folders: Folders) -> None:
    with pytest.raises(OutsideFolder):
        folder_paths.get_save_image_path("../x", str(folders.output))


def test_files_are_told_apart_by_their_content_type() -> None:
    files = ["a.PNG", "b.webp", "c.mp4", "d.wav", "e.glb", "f.unknown", "g"]
    by_type = folder_paths.filter_files_content_types
    assert by_type(files, ["image"]) == ["a.PNG", "b.webp"]
    assert by_type(files, ["video", "audio"]) == ["c.mp4", "d.wav"]
    assert by_type(files, ["model"]) == ["e.glb"]


def test_files_below_a_folder(tmp_path: Path) -> None:
    add(tmp_path, "a.txt", "sub/b.pt", ".git/c.pt")
    files, times = folder_paths.recursive_search(str(tmp_path), excluded_dir_names=[".git"])
    assert sorted(files) == ["a.txt", "sub/b.pt"]
    assert set(times) == {str(tmp_path), str(tmp_path / "sub")}
    assert folder_paths.filter_files_extensions(files, [".pt"]) == ["sub/b.pt"]
    assert folder_paths.filter_files_extensions(files, []) == ["a.txt", "sub/b.pt"]
    assert folder_paths.recursive_search(str(tmp_path / "none")) == ([], {})


def test_the_folders_below_the_input_folder(folders: Folders) -> None:
    add(folders.input, "b/c/x.png", "a/y.png")
    assert folder_paths.get_input_subfolders() == ["a", "b", "b/c"]


def test_folders_of_users_and_of_the_system(folders: Folders) -> None:
    assert folder_paths.get_public_user_directory("anna") == str(folders.user / "anna")
    for name in ("", "__system", "../x"):
        assert folder_paths.get_public_user_directory(name) is None
    assert folder_paths.get_system_user_directory("my-pack") == str(folders.user / "__my-pack")
    for name in ("", "__x", "../x", "a/b"):
        with pytest.raises(ValueError, match="system folder"):
            folder_paths.get_system_user_directory(name)


def test_lists_with_times_and_the_cache_around_them(folders: Folders) -> None:
    add(folders.models_root / "loras", "a.pt")
    names, times, _ = folder_paths.get_filename_list_("loras")
    assert names == ["a.pt"]
    assert str(folders.models_root / "loras") in times
    with folder_paths.cache_helper as cache:
        cache.set("loras", (names, times, 0.0))
        assert folder_paths.cached_filename_list_("loras") == (names, times, 0.0)
    assert folder_paths.cached_filename_list_("loras") is None


def test_choices_of_a_v3_class_follow_the_disk_too(folders: Folders) -> None:
    class Chooser(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> io.Schema:
            loras = folder_paths.get_filename_list("loras")
            return io.Schema(
                node_id="Chooser", inputs=[io.Combo.Input("lora", options=loras, tooltip="x")]
            )

    definition = describe("Chooser", Chooser, "Chooser")
    assert definition.file_options == {"lora": "loras"}
    add(folders.models_root / "loras", "a.pt")
    declared = FileOptions(folders).fill(definition)["input"]["required"]["lora"]
    assert declared[1]["options"] == ["a.pt"]
