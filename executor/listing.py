"""Lists the files below folders, and knows when such a list still holds."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# A folder changed this shortly before it was listed may change again within one clock tick of its
# file system, which its modification time would not show: such a listing is not re-used.
_SETTLED_NS: Final = 1_000_000_000


@dataclass(frozen=True)
class Listing:
    """File names below some folders, and what tells whether they still hold."""

    names: tuple[str, ...]
    stamps: Mapping[str, int | None]  # folder -> modification time, None where it is missing
    taken_ns: int  # wall clock when the walk began

    def is_current(self) -> bool:
        """Whether no folder has changed since."""
        return all(
            _modified(folder) == stamp and (stamp is None or stamp + _SETTLED_NS < self.taken_ns)
            for folder, stamp in self.stamps.items()
        )


def _modified(folder: str) -> int | None:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116
    except OSError:
        return None


def list_files(folders: Sequence[Path], extensions: frozenset[str]) -> Listing:
    """Files with one of the extensions (none given: all), links followed, without `.git`."""
    taken_ns = time.time_ns()
    names: set[str] = set()
    stamps: dict[str, int | None] = {}
    for folder in folders:
        _walk(str(folder), "", extensions, names, stamps, ())
    return Listing(names=tuple(sorted(names)), stamps=stamps, taken_ns=taken_ns)


def _walk(
    folder: str,
    prefix: str,
    extensions: frozenset[str],
    names: set[str],
    stamps: dict[str, int | None],
    above: tuple[str, ...],
) -> None:
    """Collect files below `folder`; `above` holds the real paths on the way, to end link loops."""
    stamps[folder] = _modified(folder)
    real = os.path.realpath(folder)
    if stamps[folder] is None or real in above:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError:  # a file, or not ours to read: it has no models to offer
        return
    for entry in entries:
        name = prefix + entry.name
        if not can_be_named(entry.name):
            continue
        if is_folder(entry):
            if entry.name != ".git":
                _walk(entry.path, name + os.sep, extensions, names, stamps, (*above, real))
        elif _has_extension(entry.name, extensions) and os.path.isfile(entry.path):  # noqa: PTH113
            names.add(name)


def can_be_named(name: str) -> bool:
    """Whether clients can be told a file name: not if its bytes are no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or a link to one."""
    try:
        return entry.is_file()
    except OSError:  # a link to itself
        return False


def _has_extension(name: str, extensions: frozenset[str]) -> bool:
    return not extensions or os.path.splitext(name)[1].lower() in extensions  # noqa: PTH122
