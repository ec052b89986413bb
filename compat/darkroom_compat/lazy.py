"""Packages whose modules are there without being imported, as in ComfyUI, which has them loaded."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def submodules(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package: a module of it, imported when somebody asks."""

    def get(name: str) -> Any:
        full = f"{package}.{name}"
        if not name.startswith("_"):
            try:
                return importlib.import_module(full)
            except ModuleNotFoundError as error:
                if error.name != full:
                    raise
        raise AttributeError(f"module '{package}' has no attribute '{name}'")

    return get
