"""`comfy_extras`, `execution`, `utils`, `app`, `cuda_malloc` as packs use them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import cuda_malloc
import execution
import folder_paths
import pytest
import torch
from app.logger import get_logs, setup_logger
from comfy_extras._table import CLASSES, HELPERS
from comfy_extras.chainner_models import model_loading
from utils.extra_config import load_extra_path_config
from utils.json_util import merge_json_recursive

from executor.folders import Folders
from nodes.method_names import CORE, EXTRA
from nodes.not_yet import NotYetSupported
from nodes.pixel_space import PixelSpaceVae
from nodes.registry import NODE_CLASSES
from nodes.vae import VAEDecode

ROOT = Path(__file__).parent.parent.parent
EXTRA_CLASSES = [(module, name) for module, names in CLASSES.items() for name in names.split()]


def test_every_module_of_extras_can_be_imported_with_all_its_names() -> None:
    for module in CLASSES:
        imported = importlib.import_module(f"comfy_extras.{module}")
        for name in (*CLASSES[module].split(), *HELPERS.get(module, "").split()):
            assert getattr(imported, name) is getattr(imported, name)
            assert name in dir(imported)
        assert set(imported.NODE_CLASS_MAPPINGS) == set(CLASSES[module].split())


def test_a_class_that_is_there_is_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes_mask = importlib.import_module("comfy_extras.nodes_mask")

    class GrowMask:
        pass

    monkeypatch.setitem(NODE_CLASSES, "GrowMask", GrowMask)
    assert nodes_mask.GrowMask is GrowMask
    assert nodes_mask.NODE_CLASS_MAPPINGS["GrowMask"] is GrowMask


def test_a_class_that_is_not_there_says_so_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes_mask = importlib.import_module("comfy_extras.nodes_mask")

    monkeypatch.delitem(NODE_CLASSES, "SolidMask", raising=False)
    node = nodes_mask.SolidMask()
    with pytest.raises(NotYetSupported, match=r"comfy_extras\.nodes_mask\.SolidMask"):
        node.solid(1.0, 8, 8)
    with pytest.raises(AttributeError):
        _ = nodes_mask.NoSuchClass
    assert not hasattr(nodes_mask.SolidMask, "execute")


def test_methods_of_extras_are_named_for_classes_that_exist() -> None:
    assert set(EXTRA) <= {name for _, name in EXTRA_CLASSES}
    assert not set(EXTRA) & set(CORE)


def test_classes_can_be_called_as_v3_nodes_are() -> None:
    picture = torch.rand(1, 8, 8, 3)
    latent = {"samples": PixelSpaceVae().encode(picture)}
    torch.testing.assert_close(VAEDecode.execute(PixelSpaceVae(), latent)[0], picture)
    torch.testing.assert_close(VAEDecode().execute(vae=PixelSpaceVae(), samples=latent)[0], picture)


def test_an_upscaling_model_is_read_where_the_library_is_installed() -> None:
    try:
        importlib.import_module("spandrel")
    except ImportError:
        with pytest.raises(NotYetSupported, match="spandrel"):
            model_loading.load_state_dict({})


def test_the_engine_of_comfyui_is_there_by_name_only() -> None:
    assert execution.full_type_name(int) == "int"
    assert execution.full_type_name(Path) == "pathlib.Path"
    with pytest.raises(NotYetSupported, match="PromptExecutor"):
        execution.PromptExecutor(None).execute({}, "id")
    with pytest.raises(NotYetSupported, match="recursive_execute"):
        execution.recursive_execute()
    assert execution.IsChangedCache is execution.IsChangedCache


async def test_prompts_are_checked_by_the_server() -> None:
    with pytest.raises(NotYetSupported, match="validate_prompt"):
        await execution.validate_prompt("id", {}, None)


def test_a_pack_may_put_a_function_around_a_method_of_the_engine() -> None:
    original = execution.PromptExecutor.execute

    def around(self: Any, *args: Any, **kwargs: Any) -> Any:
        return original(self, *args, **kwargs)

    execution.PromptExecutor.execute = around  # type: ignore[method-assign]
    execution.PromptExecutor.execute = original  # type: ignore[method-assign]


def test_a_file_of_further_folders_is_read(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a:\n  brushes: there\n  is_default: true\n")
    load_extra_path_config(str(tmp_path / "x.yaml"))
    assert folder_paths.get_folder_paths("brushes") == [str(tmp_path / "there")]
    del folder_paths.folder_names_and_paths["brushes"]


def test_json_is_merged_all_the_way_down() -> None:
    base = {"a": {"b": 1, "l": [1]}, "c": 1}
    update = {"a": {"b": 2, "l": [2], "d": 3}, "c": {}}
    assert merge_json_recursive(base, update) == {"a": {"b": 2, "l": [1, 2], "d": 3}, "c": {}}


def test_gpus_are_counted() -> None:
    assert len(cuda_malloc.get_gpu_names()) <= torch.cuda.device_count()
    assert isinstance(cuda_malloc.cuda_malloc_supported(), bool)


def test_the_log_is_the_servers() -> None:
    setup_logger()
    with pytest.raises(NotYetSupported, match="get_logs"):
        get_logs()


def test_modules_are_there_after_an_import_of_their_package_alone() -> None:
    code = """
import sys, tests.compat, comfy
assert "torch" not in sys.modules
import comfy_extras
comfy.float.stochastic_rounding
comfy_extras.nodes_mask.MaskComposite
for package, name in ((comfy, "no_such_module"), (comfy_extras, "nodes_none")):
    assert not hasattr(package, name)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT)


def test_users_and_the_queue_are_known_by_their_names() -> None:
    from app.user_manager import UserManager

    assert hasattr(UserManager, "get_request_user_id")
    assert hasattr(execution.PromptQueue, "get_tasks_remaining")
