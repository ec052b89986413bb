"""Modules of packs in packages that have the names of ours.

A pack may put a folder of its own on the path and import `models.unet` from it. The package of that
name is ours, so what it does not hold is looked for in packages of the same name further along the
path. What both hold is ours.
"""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

_PACKAGES: Final = frozenset({"executor", "models", "nodes", "server"})


class SharedNames(MetaPathFinder):
    """Finds what no other finder has found. To be the last of `sys.meta_path`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        if package not in _PACKAGES or not name:
            return None
        folders = [str(Path(entry) / package) for entry in sys.path]
        return importlib.machinery.PathFinder.find_spec(fullname, folders)


def share_names() -> None:
    """Look for such modules from now on. Idempotent."""
    if not any(isinstance(finder, SharedNames) for finder in sys.meta_path):
        sys.meta_path.append(SharedNames())
