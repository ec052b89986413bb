"""Makes an upscaling model of a state dict, where the library spandrel is installed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from torch import Tensor

from nodes.not_yet import NotYetSupported


def load_state_dict(state_dict: Mapping[str, Tensor]) -> Any:
    """The model (`.model`, `.scale`, `.eval()`, ...); raises NotYetSupported without spandrel."""
    try:
        spandrel = import_module("spandrel")
    except ImportError as error:
        raise NotYetSupported(
            f"{__name__}.load_state_dict", "it needs the Python package spandrel"
        ) from error
    return spandrel.ModelLoader().load_from_state_dict(dict(state_dict))
