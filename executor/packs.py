"""Node packs as plain data: which there are, and what a worker tells of those it has loaded.

No torch, and nothing is imported from a pack: the server uses this too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from executor.kinds import ModelKind
from executor.listing import is_file, is_folder

MODULE_PREFIX: Final = "custom_nodes"  # packs are imported, and shown to clients, below this name
ENTRY_FILE: Final = "__init__.py"
START_SCRIPT: Final = "prestartup_script.py"  # run before anything is imported
OWNER_HEADER: Final = "X-Darkroom-Owner"  # whose API key a request came with; set by the server
USER_HEADER: Final = "X-Darkroom-User"  # the user that the key stands for, if it does
HOOK_PATH: Final = "/.darkroom/prompt"  # of a worker: bodies of POST /prompt, for the packs' hooks


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A node pack: a folder, or a single Python file."""

    name: str  # of the folder, or of the file without `.py`
    path: Path

    @property
    def is_folder(self) -> bool:
        return self.path.suffix != ".py" or self.path.is_dir()

    @property
    def entry(self) -> Path:
        """The file that is imported."""
        return self.path / ENTRY_FILE if self.is_folder else self.path

    @property
    def label(self) -> str:
        """How clients know it: `custom_nodes.NAME`."""
        return f"{MODULE_PREFIX}.{self.name}"

    @property
    def module_name(self) -> str:
        """What its module is called; a dot in the pack's name would make it a part of another."""
        return f"{MODULE_PREFIX}.{self.name.replace('.', '_x_')}"


class PackReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a pack."""

    name: str
    path: str
    seconds: float = 0.0  # that its import took
    nodes: int = 0  # node classes that it brought
    error: str | None = None  # why it was left out
    web: dict[str, str] = {}  # name below /extensions -> folder of the pack's files for browsers


class PackRoute(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP route that a pack serves."""

    method: str  # `*`: all of them
    pattern: str  # regular expression of the whole path, percent-encoded as it is sent


class LoadedPacks(msgspec.Struct, frozen=True, kw_only=True):
    """All that the server must know of a worker's packs."""

    reports: list[PackReport] = []
    routes: list[PackRoute] = []
    has_prompt_hooks: bool = False  # a pack wants to see prompts before they are checked
    model_kinds: dict[str, ModelKind] = {}  # that packs have added or changed

    @property
    def web(self) -> dict[str, Path]:
        """Name below /extensions -> folder, of all packs."""
        return {name: Path(folder) for r in self.reports for name, folder in r.web.items()}


class RouteTable:
    """Says quickly whether packs serve a path."""

    def __init__(self, routes: Iterable[PackRoute]) -> None:
        self._known = [(route.method, re.compile(route.pattern)) for route in routes]

    def serves(self, method: str, path: str) -> bool:
        """Whether a pack has a route for this method and (percent-encoded) path."""
        return any(
            method_known in ("*", method) and pattern.fullmatch(path)
            for method_known, pattern in self._known
        )


def find_packs(roots: Iterable[Path], *, only: Collection[str] | None = None) -> list[Pack]:
    """Packs in search order, then by name; `only`: those that are loaded though packs are off.

    Of two packs of one name the first is used. A single file may be called by its name with or
    without `.py` in `only`.
    """
    found: dict[str, Pack] = {}
    for root in roots:
        for name, path in _candidates(root):
            if name not in found and (only is None or name in only or path.name in only):
                found[name] = Pack(name=name, path=path)
    return list(found.values())


def _candidates(root: Path) -> list[tuple[str, Path]]:
    try:
        with os.scandir(root) as entries:
            listed = sorted((entry.name, is_folder(entry), is_file(entry)) for entry in entries)
    except OSError:  # no such folder, or not ours to read
        return []
    candidates = []
    for name, is_a_folder, is_a_file in listed:
        if name.startswith(".") or name == "__pycache__" or name.endswith(".disabled"):
            continue
        if is_a_folder:
            candidates.append((name, root / name))
        elif is_a_file and name.endswith(".py") and name != ENTRY_FILE:
            candidates.append((name.removesuffix(".py"), root / name))
    return candidates
