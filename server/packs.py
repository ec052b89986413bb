"""Which node packs there are: folders in the `custom_nodes` folders, looked at, not imported."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Pack:
    """The folder of a node pack."""

    name: str  # of the folder
    folder: Path


def find_packs(roots: Iterable[Path], *, only: Collection[str] | None = None) -> list[Pack]:
    """Packs in search order, then by name; `only`: those that are loaded though packs are off.

    Of two folders of one name the first is used.
    """
    found: dict[str, Pack] = {}
    for root in roots:
        for name in sorted(_folder_names(root)):
            is_candidate = name != "__pycache__" and not name.endswith(".disabled")
            if is_candidate and name not in found and (only is None or name in only):
                found[name] = Pack(name=name, folder=root / name)
    return list(found.values())


def _folder_names(root: Path) -> list[str]:
    try:
        with os.scandir(root) as entries:
            return [entry.name for entry in entries if entry.is_dir()]
    except OSError:  # no such folder, or not ours to read
        return []
