"""The import names around V3 nodes: versions, extensions, values."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import comfy_api.latest as latest
import pytest
import torch
from comfy_api.latest import ComfyAPI, ComfyAPISync, ComfyExtension, InputImpl, Types, io, ui

from executor.worker.extensions import ExtensionError, extension_nodes, has_entry_point

T = TypeVar("T")


class Plain(io.ComfyNode):
    """A node without anything."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(node_id="Plain")


@pytest.mark.parametrize("version", ["latest", "v0_0_1", "v0_0_2"])
def test_every_version_has_the_names_that_packs_import(version: str) -> None:
    module = importlib.import_module(f"comfy_api.{version}")
    for name in ("ComfyAPI", "ComfyAPISync", "ComfyExtension", "Input", "InputImpl", "Types"):
        assert hasattr(module, name)
    assert module.io is latest.io
    assert module.ui is latest.ui
    assert module.IO is latest.io
    assert hasattr(module.ComfyAPI().execution, "set_progress")


def test_the_versions_are_listed_newest_first() -> None:
    from comfy_api.version_list import supported_versions

    assert [version.VERSION for version in supported_versions] == ["latest", "0.0.2", "0.0.1"]


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("comfy_api.latest._io", ["ComfyNode", "Schema", "Image", "FolderType"]),
        ("comfy_api.latest._ui", ["PreviewImage", "SavedResult"]),
        ("comfy_api.latest._input", ["VideoInput", "ImageInput"]),
        ("comfy_api.latest._input_impl", ["VideoFromFile"]),
        ("comfy_api.latest._util", ["VideoComponents", "MESH"]),
        ("comfy_api.input", ["ImageInput", "AudioInput", "VideoInput"]),
        ("comfy_api.input.video_types", ["VideoInput"]),
        ("comfy_api.input_impl", ["VideoFromFile", "VideoFromComponents"]),
        ("comfy_api.util", ["VideoContainer", "VideoCodec", "VideoComponents"]),
        ("comfy_api.torch_helpers", ["set_torch_compile_wrapper"]),
        ("comfy_api.internal", ["_ComfyNodeInternal"]),
    ],
)
def test_older_import_names_work(module: str, names: list[str]) -> None:
    imported = importlib.import_module(module)
    assert [name for name in names if not hasattr(imported, name)] == []


def test_what_cannot_work_yet_says_so_when_it_is_used() -> None:
    from comfy_api.torch_helpers import set_torch_compile_wrapper

    with pytest.raises(NotImplementedError, match="set_torch_compile_wrapper"):
        set_torch_compile_wrapper(None, backend="inductor")
    with pytest.raises(NotImplementedError, match="register_provider"):
        ComfyAPI().caching.register_provider(latest.Caching.CacheProvider())


def test_progress_outside_of_nodes_is_refused_with_a_reason() -> None:
    with pytest.raises(RuntimeError, match="while a node runs"):
        ComfyAPISync().execution.set_progress(1, 2)


def test_a_replacement_that_cannot_be_read_is_refused() -> None:
    wrong = io.NodeReplace("New", "Old", input_mapping=[{"new_id": "x"}])
    with pytest.raises(ValueError, match="no old_id and no set_value"):
        ComfyAPISync().node_replacement.register(wrong)


def module_with(**attributes: Any) -> ModuleType:
    module = ModuleType("a_pack")
    module.__dict__.update(attributes)
    return module


def test_an_entry_point_may_be_sync_or_async() -> None:
    class Extension(ComfyExtension):
        async def get_node_list(self) -> list[Any]:
            return [Plain]

    async def entry() -> Extension:
        return Extension()

    assert extension_nodes(module_with(comfy_entrypoint=entry)) == [Plain]
    assert extension_nodes(module_with(comfy_entrypoint=Extension)) == [Plain]


def test_a_module_without_entry_point_is_no_extension() -> None:
    assert not has_entry_point(module_with(NODE_CLASS_MAPPINGS={}))
    assert has_entry_point(module_with(comfy_entrypoint=lambda: None))


@pytest.mark.parametrize(
    ("extension", "message"),
    [
        (None, "gives no ComfyExtension"),
        (type("E", (), {"get_node_list": lambda self: 5})(), "gives no list"),
        (type("E", (), {"get_node_list": lambda self: [int]})(), "no io.ComfyNode"),
    ],
)
def test_an_entry_point_that_does_not_do_what_one_does_is_refused(
    extension: Any, message: str
) -> None:
    with pytest.raises(ExtensionError, match=message):
        extension_nodes(module_with(comfy_entrypoint=lambda: extension))


def test_a_class_without_schema_or_execute_says_so() -> None:
    class Empty(io.ComfyNode):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no define_schema"):
        Empty.GET_SCHEMA()
    with pytest.raises(NotImplementedError, match="Plain has no execute"):
        Plain.EXECUTE_NORMALIZED()


def test_a_subclass_has_a_schema_of_its_own() -> None:
    class Derived(Plain):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="Derived")

    assert (Plain.GET_SCHEMA().node_id, Derived.GET_SCHEMA().node_id) == ("Plain", "Derived")


def test_a_node_output_reads_what_older_nodes_return() -> None:
    output = io.NodeOutput.from_dict({"result": (1, 2), "ui": {"text": ["x"]}})
    assert (output.args, output.result, output[1], output.ui) == (
        (1, 2),
        (1, 2),
        2,
        {"text": ["x"]},
    )
    assert io.NodeOutput().result is None


def test_classes_with_other_bases_can_be_copied_and_stay_locked() -> None:
    class Base(io.ComfyNode, ABC, Generic[T]):
        @classmethod
        @abstractmethod
        def amount(cls) -> int: ...

        @classmethod
        def execute(cls, **kwargs: Any) -> io.NodeOutput:
            return io.NodeOutput(cls.amount(), cls.hidden.unique_id)

    class Four(Base[int]):
        @classmethod
        def define_schema(cls) -> io.Schema:
            return io.Schema(node_id="Four", hidden=[io.Hidden.unique_id])

        @classmethod
        def amount(cls) -> int:
            return 4

    copy = Four.PREPARE_CLASS_CLONE({"unique_id": "8"})
    assert copy.EXECUTE_NORMALIZED() == {"result": (4, "8")}
    assert copy.__name__ == "Four"
    assert issubclass(copy, Base)
    assert Four.hidden.unique_id is None
    with pytest.raises(AttributeError, match="keep no state"):
        setattr(copy, "state", 1)  # noqa: B010
    with pytest.raises(AttributeError, match="keep no state"):
        del copy.hidden


def test_packs_that_call_a_node_index_its_result_by_output() -> None:
    class Two(Plain):
        @classmethod
        def execute(cls, **kwargs: Any) -> io.NodeOutput:
            return io.NodeOutput(1, kwargs)

    node = Two()
    returned = getattr(node, node.FUNCTION)(more=3)
    assert (returned[0], returned[1]) == (1, {"more": 3})
    assert returned["result"] == (1, {"more": 3})


def test_lists_of_an_own_kind_stay_what_they_are_until_they_are_described() -> None:
    class Names(list[str]):
        """Such as lists of files that know their folder."""

    names = Names(["a", "b"])
    options = io.Combo.Input("c", options=names).as_dict()
    assert options["options"] is names


def test_a_saved_result_is_what_clients_see() -> None:
    saved = ui.SavedResult("a.png", "sub", io.FolderType.temp)
    assert saved == {"filename": "a.png", "subfolder": "sub", "type": "temp"}
    assert (saved.filename, saved.subfolder, saved.type) == ("a.png", "sub", "temp")


def moving_square(count: int = 6) -> Any:
    images = torch.zeros(count, 16, 32, 3)
    for index in range(count):
        images[index, :, index * 4 : index * 4 + 8] = 1.0
    time = torch.arange(8000) / 16000
    audio = {"waveform": torch.sin(time * 880).expand(1, 2, -1), "sample_rate": 16000}
    return Types.VideoComponents(images=images, audio=audio, frame_rate=Fraction(12))


def test_a_video_is_written_and_read_again(tmp_path: Path) -> None:
    video = InputImpl.VideoFromComponents(moving_square())
    assert video.get_duration() == 0.5
    video.save_to(
        tmp_path / "v.mp4", format=Types.VideoContainer.MP4, metadata={"prompt": {"1": 2}}
    )
    read = InputImpl.VideoFromFile(str(tmp_path / "v.mp4"))
    assert read.get_dimensions() == (32, 16)
    assert read.get_frame_count() == 6
    assert read.get_frame_rate() == 12
    assert "mp4" in read.get_container_format()
    components = read.get_components()
    assert components.images.shape == (6, 16, 32, 3)
    assert (components.images - moving_square().images).abs().mean() < 0.1
    assert components.audio["sample_rate"] == 16000
    assert components.audio["waveform"].shape[:2] == (1, 2)


def test_a_video_can_be_a_file_in_memory_and_be_cut() -> None:
    source = InputImpl.VideoFromComponents(moving_square()).get_stream_source()
    part = InputImpl.VideoFromFile(source).as_trimmed(start_time=0.25, duration=0.25)
    assert part.get_frame_count() == 3
    assert part.get_duration() == 0.25


def test_videos_can_follow_each_other() -> None:
    one = InputImpl.VideoFromComponents(moving_square())
    both = InputImpl.VideoFromList([one, one])
    assert both.get_frame_count() == 12
    assert both.get_components().audio["waveform"].shape[-1] == 16000


def test_sound_that_cannot_be_saved_is_refused_with_a_reason() -> None:
    from nodes.sound_files import encode_sound

    with pytest.raises(ValueError, match="choose among"):
        encode_sound(torch.zeros(1, 8), 8000, "ra", "", {})
    with pytest.raises(ValueError, match="without a single sample"):
        encode_sound(torch.zeros(1, 0), 8000, "flac", "", {})


def test_a_file_without_pictures_is_refused(tmp_path: Path) -> None:
    from nodes.sound_files import encode_sound

    path = tmp_path / "a.flac"
    path.write_bytes(encode_sound(torch.zeros(1, 800), 8000, "flac", "", {}))
    with pytest.raises(ValueError, match="holds no video"):
        InputImpl.VideoFromFile(path).get_components()
