"""Names that node packs import from ComfyUI, over our own modules."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """A module of the package: packs use `comfy.utils` after nothing but `import comfy`."""
    if not name.startswith("_"):
        full = f"{__name__}.{name}"
        try:
            return import_module(full)
        except ModuleNotFoundError as error:
            if error.name != full:
                raise
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
