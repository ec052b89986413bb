"""Writing files: names with counters, never a half file, never one that is there already."""

from __future__ import annotations

import os
import random
import string
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from nodes.context import NodeContext, NodeFolders
from nodes.file_names import fill_in_prefix, numbers_in

Write: TypeAlias = Callable[[Path], object]  # writes one file

_REMEMBERED_FOLDERS = 64
_LONGEST_NAME = 255 - 25  # bytes, with room for a number and an extension


class NameTooLong(ValueError):
    """A name is longer than file systems take."""

    def __init__(self, prefix: str) -> None:
        super().__init__(
            f"the name '{prefix[:40]}...' is too long: files and folders may have names of "
            f"{_LONGEST_NAME} bytes here"
        )


@dataclass(frozen=True, kw_only=True)
class SaveTarget:
    """Where a batch of files goes."""

    folder: Path
    subfolder: str  # relative to the output or temp folder, with `/`
    name: str  # what the file names begin with; may hold %batch_num%
    file_type: str  # "output" or "temp"

    def entry(self, filename: str) -> dict[str, str]:
        """The file as clients see it."""
        return {"filename": filename, "subfolder": self.subfolder, "type": self.file_type}


def save_target(
    folders: NodeFolders,
    file_type: str,
    prefix: str,
    width: int = 0,
    height: int = 0,
    root: str | None = None,
) -> SaveTarget:
    """Resolve a file name prefix; makes the folder. Raises an error if it leads out of it.

    `root` stands in for the folder of the type.
    """
    relative = os.path.normpath(fill_in_prefix(prefix, width, height))
    subfolder, name = os.path.split(relative)
    top = folders.directory(file_type) if root is None else Path(root)
    folders.below(top, f"{relative}_")  # the whole of a name, with a number to follow
    if max(len(os.fsencode(part)) for part in Path(relative).parts or ("",)) > _LONGEST_NAME:
        raise NameTooLong(prefix)
    folder = folders.below(top, subfolder)
    folder.mkdir(parents=True, exist_ok=True)
    return SaveTarget(
        folder=folder, subfolder=subfolder.replace(os.sep, "/"), name=name, file_type=file_type
    )


def target_for(
    context: NodeContext, prefix: str, file_type: str = "output", *, width: int = 0, height: int = 0
) -> SaveTarget:
    """Where a node saves: as `save_target`, with the subfolder by date that the settings name."""
    date = context.settings.date_folder
    if date is not None and file_type == "output":
        prefix = f"{time.strftime(date)}/{prefix}"
    return save_target(context.folders, file_type, prefix, width=width, height=height)


def temp_prefix(name: str = "ComfyUI") -> str:
    """What names of files that are shown and not kept begin with: another one every time."""
    letters = random.SystemRandom().choices(string.ascii_lowercase, k=5)
    return f"{name}_temp_{''.join(letters)}"


@dataclass(slots=True)
class _FolderNumbers:
    """The highest number per file name start in one folder, and when that was true."""

    modified_ns: int
    highest: dict[str, int]


class _Counters:
    """Numbers in use, remembered per folder for as long as nobody else writes there.

    A folder with thousands of files is thus listed once, not for every image. Files are written by
    a thread of the engine, and by nodes of packs on others.
    """

    def __init__(self) -> None:
        self._folders: OrderedDict[Path, _FolderNumbers] = OrderedDict()
        self._lock = threading.Lock()

    def highest(self, folder: Path, name: str) -> int:
        """The highest N among entries `<name>_N_...`, as the file system compares names."""
        with self._lock:
            known = self._folders.get(folder)
            modified_ns = folder.stat().st_mtime_ns
            if known is None or known.modified_ns != modified_ns:
                known = self._folders[folder] = _FolderNumbers(modified_ns, numbers_in(folder))
            self._folders.move_to_end(folder)
            if len(self._folders) > _REMEMBERED_FOLDERS:
                self._folders.popitem(last=False)
            return known.highest.get(os.path.normcase(name), 0)

    def used(self, folder: Path, name: str, number: int) -> None:
        """We have written files up to this number."""
        with self._lock:
            known = self._folders.get(folder)
            if known is not None:
                known.highest[os.path.normcase(name)] = number
                known.modified_ns = folder.stat().st_mtime_ns

    def forget(self, folder: Path) -> None:
        """Another process writes there too: list it anew."""
        with self._lock:
            self._folders.pop(folder, None)


_counters = _Counters()


def save_files(
    target: SaveTarget, writers: Iterable[Write], extension: str, *, bare: bool = False
) -> list[dict[str, str]]:
    """Write a batch of files under the next numbers; returns their entries for clients.

    Names are `<name>_<number>_.<extension>`; `bare` ones have nothing behind the number.
    """
    ending = "" if bare else "_"

    def highest() -> int:
        if bare:
            names = numbers_in(target.folder, bare=True)
            return names.get(os.path.normcase(target.name), 0)
        return _counters.highest(target.folder, target.name)

    number = highest()
    entries = []
    for index, write in enumerate(writers):
        name = target.name.replace("%batch_num%", str(index))
        temporary = target.folder / f".{os.getpid()}-{time.monotonic_ns()}.tmp.{extension}"
        try:
            write(temporary)
            while True:
                number += 1
                filename = f"{name}_{number:05}{ending}.{extension}"
                if take_name(temporary, target.folder / filename):
                    break
                _counters.forget(target.folder)
                number = max(number, highest())
        finally:
            temporary.unlink(missing_ok=True)
        entries.append(target.entry(filename))
    if entries and not bare:
        _counters.used(target.folder, target.name, number)
    return entries


def take_name(temporary: Path, path: Path) -> bool:
    """Give a finished file its name; False if that is taken. Of two processes one gets it."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            return False
        temporary.replace(path)
    return True
