"""A fingerprint of all that node definitions are made from. No torch: the server uses it too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from executor.worker_config import WorkerConfig

_CODE = Path(__file__).resolve().parent.parent
_CODE_FOLDERS = ("nodes", "models", "compat", "executor")
_SKIPPED = frozenset({"__pycache__", ".git", "node_modules"})


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
    if config.custom_nodes or config.whitelist_custom_nodes:
        for folder in config.folders().custom_nodes:
            _add_folder(digest, folder)
    return digest.hexdigest()


def _version() -> str:
    try:
        return version("darkroom-server")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "checkout"


def _add_folder(digest: hashlib._Hash, folder: Path) -> None:
    for path, stat in _python_files(str(folder)):
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())


def _python_files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Python files below a folder with their state, in a fixed order; links are followed."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir():
            if entry.name not in _SKIPPED and not entry.is_symlink():
                yield from _python_files(entry.path)
        elif entry.name.endswith(".py"):
            yield entry.path, entry.stat()
