"""Names that exist before their parts: they import, subclass, and say so in use."""

from __future__ import annotations

import abc
import importlib

import pytest
import torch
from comfy import controlnet, model_base
from comfy.not_yet import NotYetSupported, missing_class


def test_a_missing_function_names_itself_when_it_is_called() -> None:
    with pytest.raises(NotYetSupported, match=r"comfy\.controlnet\.load_controlnet_sd35 yet"):
        controlnet.load_controlnet_sd35("file")


def test_a_missing_class_can_be_subclassed_and_asked_for() -> None:
    class Mine(controlnet.ControlNetSD35):  # type: ignore[misc]
        """Of a pack."""

    class Own(controlnet.ControlNetSD35, abc.ABC):  # type: ignore[misc]
        """Of a pack, with an __init__ of its own."""

        def __init__(self) -> None:
            self.value = 1

    assert not isinstance(object(), controlnet.ControlNetSD35)
    assert Own().value == 1 and isinstance(Own(), controlnet.ControlNetSD35)
    with pytest.raises(NotYetSupported, match=r"comfy\.controlnet\.ControlNetSD35 yet"):
        Mine()


def test_a_missing_layer_is_a_class_of_modules() -> None:
    from comfy.ldm.flux.layers import DoubleStreamBlock

    assert issubclass(DoubleStreamBlock, torch.nn.Module)


def test_a_missing_model_derives_from_the_base_of_models() -> None:
    assert issubclass(model_base.SDXL, model_base.BaseModel)
    assert model_base.SDXL is model_base.SDXL
    assert issubclass(missing_class("x.Y", model_base.BaseModel), model_base.BaseModel)


def test_names_that_nobody_knows_are_still_errors() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = controlnet.no_such_name
    with pytest.raises(ImportError):
        importlib.import_module("comfy.no_such_module")


def test_modules_of_a_package_need_no_import_of_their_own() -> None:
    import subprocess
    import sys

    from tests.compat import COMPAT

    code = (
        "import comfy; comfy.ldm.modules.attention.default(None, 1); comfy.k_diffusion.sampling;"
        "assert not hasattr(comfy, 'no_such_module')"
    )
    environment = {"PYTHONPATH": f"{COMPAT}/..:{COMPAT}", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)


def test_one_class_is_found_where_packs_look_for_it() -> None:
    from comfy.ldm.modules import attention
    from comfy.ldm.modules.diffusionmodules import openaimodel, util

    for name in ("SpatialTransformer", "SpatialVideoTransformer", "exists"):
        assert getattr(openaimodel, name) is getattr(attention, name)
    for name in ("AlphaBlender", "timestep_embedding"):
        assert getattr(openaimodel, name) is getattr(util, name)
