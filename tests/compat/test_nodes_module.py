"""The module `nodes` as packs use it: classes made, called, derived from, overridden."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import comfy.k_diffusion.sampling as k_diffusion
import pytest
import torch
from comfy import samplers

import nodes
import server
from executor.folders import Folders, OutsideFolder
from executor.worker.contract import read_contract
from nodes.context import Interrupted, process_services
from nodes.method_names import CORE
from nodes.not_yet import NotYetSupported, missing_node
from nodes.pixel_space import PixelSpaceVae
from nodes.registry import ALL_CLASSES, NODE_CLASSES
from tests.nodes.context import RecordingReporter, node_context

PICTURE = torch.rand(1, 8, 8, 3)


def test_the_tables_of_classes_are_live(monkeypatch: pytest.MonkeyPatch) -> None:
    assert nodes.NODE_CLASS_MAPPINGS is ALL_CLASSES
    assert nodes.NODE_CLASS_MAPPINGS["KSampler"] is nodes.KSampler
    assert nodes.NODE_DISPLAY_NAME_MAPPINGS["KSampler"]
    monkeypatch.setitem(ALL_CLASSES, "FromAPack", object)
    assert nodes.NODE_CLASS_MAPPINGS["FromAPack"] is object
    assert nodes.MAX_RESOLUTION == 16384


@pytest.mark.parametrize("name", [name for name in NODE_CLASSES if name in CORE])
def test_a_class_has_the_method_that_packs_call_and_the_engine_calls_it(name: str) -> None:
    node_class = getattr(nodes, name)
    assert node_class is NODE_CLASSES[name]
    assert read_contract(name, node_class).function == CORE[name]
    assert callable(getattr(node_class, CORE[name]))
    declared = node_class.INPUT_TYPES()
    parameters = inspect.signature(getattr(node_class, CORE[name])).parameters
    assert set(declared.get("required", {})) <= set(parameters)


def test_the_core_classes_are_those_that_packs_know() -> None:
    core = {
        name
        for name, node in NODE_CLASSES.items()
        if getattr(node, "RELATIVE_PYTHON_MODULE", "nodes") == "nodes"
    }
    of_packs = {name for name in core if name == "SaveImageWebsocket" or name.endswith("GGUF")}
    assert core - of_packs <= set(CORE) <= set(NODE_CLASSES)


def test_nodes_can_be_called_outside_of_a_prompt_with_positions_or_names(folders: Folders) -> None:
    latent = nodes.VAEEncode().encode(PixelSpaceVae(), PICTURE)[0]
    picture = nodes.VAEDecode().decode(vae=PixelSpaceVae(), samples=latent)[0]
    torch.testing.assert_close(picture, PICTURE)
    scaled = nodes.ImageScale().upscale(PICTURE, "area", 4, 4, "disabled")[0]
    assert scaled.shape == (1, 4, 4, 3)
    saved = nodes.SaveImage().save_images(PICTURE, filename_prefix="cat")
    assert saved["ui"]["images"][0]["filename"] == "cat_00001_.png"
    assert (folders.output / "cat_00001_.png").is_file()


def test_a_pack_may_override_the_method_and_call_ours(folders: Folders) -> None:
    class Brighter(nodes.VAEDecode):  # type: ignore[misc]
        def decode(self, vae: Any, samples: Any) -> tuple[Any]:
            return (super().decode(vae, samples)[0] + 1,)

    contract = read_contract("Brighter", Brighter)
    latent = nodes.VAEEncode().encode(PixelSpaceVae(), PICTURE)[0]
    made = getattr(Brighter(), contract.function)(vae=PixelSpaceVae(), samples=latent)[0]
    torch.testing.assert_close(made, PICTURE + 1)


def test_a_pack_may_say_where_a_class_that_derives_from_save_image_saves(
    folders: Folders, tmp_path: Path
) -> None:
    class Elsewhere(nodes.SaveImage):  # type: ignore[misc]
        def __init__(self) -> None:
            self.output_dir = str(tmp_path)
            self.type = "temp"
            self.prefix_append = "_x"
            self.compress_level = 1

    saved = Elsewhere().save_images(PICTURE, "sub/a")
    assert saved["ui"]["images"] == [
        {"filename": "a_x_00001_.png", "subfolder": "sub", "type": "temp"}
    ]
    assert (tmp_path / "sub" / "a_x_00001_.png").is_file()
    with pytest.raises(OutsideFolder, match="leads out"):
        Elsewhere().save_images(PICTURE, "../a")


def test_previews_go_to_the_temp_folder_under_a_name_of_their_own(folders: Folders) -> None:
    (entry,) = nodes.PreviewImage().save_images(PICTURE)["ui"]["images"]
    assert entry["type"] == "temp"
    assert entry["filename"].startswith("ComfyUI_temp_")
    assert (folders.temp / entry["filename"]).is_file()


def test_the_choices_among_vaes_can_be_asked_for() -> None:
    assert "pixel_space" in nodes.VAELoader.vae_list()


@pytest.mark.parametrize("name", CORE)
def test_every_core_class_can_be_imported_and_made(name: str) -> None:
    node_class = getattr(nodes, name)
    assert getattr(nodes, name) is node_class
    assert callable(getattr(node_class(), CORE[name]))


def test_a_class_that_is_not_there_yet_can_be_derived_from_and_says_so_in_use() -> None:
    class Pack(missing_node("nodes", "NotThere", "apply_it")):  # type: ignore[misc]
        def apply(self) -> Any:
            return self.apply_it(strength=1)

    with pytest.raises(NotYetSupported, match=r"nodes\.NotThere"):
        Pack().apply()
    with pytest.raises(NotYetSupported, match=r"nodes\.NotThere"):
        Pack.INPUT_TYPES()


def test_names_that_nobody_knows_are_not_there() -> None:
    with pytest.raises(AttributeError, match="NoSuchNode"):
        _ = nodes.NoSuchNode
    with pytest.raises(NotYetSupported, match="load_custom_node"):
        nodes.load_custom_node("x")


def test_an_interrupted_prompt_is_noticed(tmp_path: Path) -> None:
    nodes.before_node_execution()  # outside of a prompt there is nothing to interrupt
    reporter = RecordingReporter()
    with node_context(tmp_path, reporter=reporter):
        nodes.before_node_execution()
        reporter.interrupted = True
        with pytest.raises(Interrupted):
            nodes.before_node_execution()


def test_importing_the_package_alone_is_light() -> None:
    code = "import sys, nodes, nodes.blocker; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_services_are_those_of_the_process() -> None:
    assert process_services().flags["cpu"] is True


def test_modules_that_comfyui_imports_are_reached_through_the_hosts() -> None:
    assert server.uuid.uuid4() != server.uuid.uuid4()
    assert server.json.dumps([]) == "[]" and server.web.Response().status == 200
    assert nodes.torch is torch and nodes.np.zeros(1).shape == (1,)
    trange = k_diffusion.trange  # type: ignore[attr-defined]
    assert list(trange(2, disable=True)) == [0, 1]
    assert samplers.k_diffusion_sampling is k_diffusion
    with pytest.raises(AttributeError):
        _ = server.no_such_module
