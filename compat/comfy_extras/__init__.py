"""ComfyUI's `comfy_extras`: node classes beyond the core, by module.

Modules are made when they are imported, from a table of their names: a class that Darkroom has is
the real one, the others raise `NotYetSupported` when something of them is used.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from comfy.not_yet import missing_function
from comfy_extras._table import BUILT, CLASSES, HELPERS

from nodes.not_yet import missing_node
from nodes.registry import NODE_CLASSES


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of the table that have no file here."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        if package != __name__ or name not in CLASSES:
            return None
        if importlib.machinery.PathFinder.find_spec(fullname, path) is not None:
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Extras(spec.name, f"Node classes under the name of ComfyUI's {spec.name}.")

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Extras(ModuleType):
    """One module; its names are looked up when they are asked for."""

    def __getattr__(self, name: str) -> Any:
        return find(self.__name__, name)

    def __dir__(self) -> list[str]:
        short = self.__name__.rpartition(".")[2]
        return [*CLASSES[short].split(), *HELPERS.get(short, "").split()]


def find(module: str, name: str) -> Any:
    """What a module of this package has by that name; raises AttributeError."""
    short = module.rpartition(".")[2]
    if name == "NODE_CLASS_MAPPINGS":
        return {known: find(module, known) for known in CLASSES[short].split()}
    if name == "NODE_DISPLAY_NAME_MAPPINGS":
        return {}
    if name in CLASSES[short].split():
        return NODE_CLASSES.get(name) or _missing(module, name)
    if name in HELPERS.get(short, "").split():
        return _built(BUILT[name]) if name in BUILT else _missing(module, name)
    raise AttributeError(f"module '{module}' has no attribute '{name}'")


def _built(full: str) -> Any:
    module, _, name = f"models.protocol.{full}".rpartition(".")
    return getattr(importlib.import_module(module), name)


_made: dict[str, Any] = {}


def _missing(module: str, name: str) -> Any:
    full = f"{module}.{name}"
    if full not in _made:
        is_class = name[:1].isupper()
        _made[full] = missing_node(module, name) if is_class else missing_function(full)
    return _made[full]


sys.meta_path.append(_Finder())


def __getattr__(name: str) -> ModuleType:
    """A module of the package, imported when somebody uses it."""
    if name in CLASSES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
