"""Model families, one file each. Adding a family is adding a file that defines `FAMILY`."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from models.families.family import Family


@functools.cache
def families() -> tuple[Family, ...]:
    """Every family in this folder, in order of file names."""
    found = []
    for entry in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{entry.name}")
        family = getattr(module, "FAMILY", None)
        if family is not None:
            found.append(family)
    return tuple(found)
