"""Small helpers of latent diffusion."""

from __future__ import annotations

import importlib
from typing import Any

from comfy.ldm.modules.attention import default as default
from comfy.ldm.modules.attention import exists as exists


def get_obj_from_str(string: str, reload: bool = False) -> Any:
    """The object of a dotted name."""
    module, _, name = string.rpartition(".")
    return getattr(importlib.import_module(module), name)


def instantiate_from_config(config: dict[str, Any]) -> Any:
    """An object of the class `target` with `params`."""
    return get_obj_from_str(config["target"])(**config.get("params", {}))


def count_params(model: Any, verbose: bool = False) -> int:
    """The number of weights."""
    return sum(parameter.numel() for parameter in model.parameters())
