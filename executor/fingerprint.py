"""A fingerprint of all that node definitions are made from. No torch: the server uses it too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from executor.listing import is_folder
from executor.packs import Pack, find_packs
from executor.worker_config import WorkerConfig

_CODE = Path(__file__).resolve().parent.parent
_CODE_FOLDERS = ("nodes", "models", "compat", "executor")
_SKIPPED = frozenset({"__pycache__", "node_modules"})


def definitions_fingerprint(config: WorkerConfig) -> str:
    """Changes whenever a node's definition may have changed.

    It covers the version, our own code, the Python files of node packs (by size and modification
    time), and the settings that decide which packs and classes are loaded.
    """
    digest = hashlib.sha256(_version().encode())
    chosen = (config.custom_nodes, config.whitelist_custom_nodes, config.disabled_nodes)
    digest.update(repr([sorted(x) if isinstance(x, list) else x for x in chosen]).encode())
    for name in _CODE_FOLDERS:
        _add_folder(digest, _CODE / name)
    for pack in wanted_packs(config):
        digest.update(f"{pack.name}\0{pack.path}\n".encode(errors="surrogateescape"))
        if pack.is_folder:
            _add_folder(digest, pack.path)
        else:
            _add_file(digest, str(pack.path))
    return digest.hexdigest()


def wanted_packs(config: WorkerConfig) -> list[Pack]:
    """The node packs that a worker with this configuration is to load."""
    only = None if config.custom_nodes else config.whitelist_custom_nodes
    return find_packs(config.folders().custom_nodes, only=only)


def _version() -> str:
    try:
        return version("darkroom-server")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "checkout"


def _add_folder(digest: hashlib._Hash, folder: Path) -> None:
    for path in _python_files(str(folder)):
        _add_file(digest, path)


def _add_file(digest: hashlib._Hash, path: str) -> None:
    try:
        stat = os.stat(path)  # noqa: PTH116
    except OSError:  # a link that leads nowhere
        return
    line = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n"
    digest.update(line.encode(errors="surrogateescape"))


def _python_files(folder: str) -> Iterator[str]:
    """Python files below a folder, in a fixed order; links to files are followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name in _SKIPPED or entry.name.startswith("."):
            continue
        if is_folder(entry):
            if not entry.is_symlink():
                yield from _python_files(entry.path)
        elif entry.name.endswith(".py"):
            yield entry.path
