"""Which files are kept: deletes the oldest ones of folders that hold more than the settings allow.

Blocking: call in a thread. `server.housekeeping` says when, and which files jobs still need.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a folder may hold; 0: any."""

    files: int = 0
    days: float = 0.0
    size: int = 0  # bytes

    @property
    def are_set(self) -> bool:
        return bool(self.files or self.days or self.size)


@dataclass(frozen=True, kw_only=True)
class Found:
    """A file below a folder."""

    parts: tuple[str, ...]  # names of the folders that lead to it, and its own
    modified: float  # seconds since 1970
    size: int  # bytes
    inode: int

    @property
    def name(self) -> str:
        return self.parts[-1]


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What lies below a folder."""

    files: list[Found]
    empty_folders: list[tuple[str, ...]]  # in which nothing has changed since the time asked for


def look_into(root: Path, unchanged_since: float, spared: Collection[str] = ()) -> Contents:
    """All files that are neither links nor hidden, and folders that can go.

    `spared`: real paths of folders that belong to something else.
    """
    contents = Contents(files=[], empty_folders=[])
    _walk(str(root), (), unchanged_since, spared, contents)
    return contents


def surplus(
    files: Sequence[Found], limits: Limits, now: float, before: float, needed: Collection[str]
) -> list[Found]:
    """The files that have to go, oldest first.

    Files changed after `before`, and those with a name that is needed, count but stay.
    """
    count, size = len(files), sum(file.size for file in files)
    oldest = now - limits.days * 86_400
    gone = []
    for file in sorted(files, key=lambda file: (file.modified, file.parts)):
        is_too_old = bool(limits.days) and file.modified < oldest
        is_one_too_many = bool(limits.files) and count > limits.files
        is_too_much = bool(limits.size) and size > limits.size
        if file.modified >= before or not (is_too_old or is_one_too_many or is_too_much):
            break  # so are all newer ones
        if file.name not in needed:
            gone.append(file)
            count, size = count - 1, size - file.size
    return gone


def delete(root: Path, files: Sequence[Found]) -> int:
    """Delete files, if they still are what was found; how many. Follows no link below the root."""
    return sum(_delete(root, file) for file in files)


def remove_folders(root: Path, folders: Sequence[tuple[str, ...]]) -> None:
    """Remove folders, if they still are empty, and those that are empty then."""
    for parts in folders:
        for end in range(len(parts), 0, -1):
            try:
                with _opened(root, parts[: end - 1]) as parent:
                    os.rmdir(parts[end - 1], dir_fd=parent)
            except OSError:  # it is not empty, or gone
                break


def _walk(
    folder: str,
    parts: tuple[str, ...],
    unchanged_since: float,
    spared: Collection[str],
    contents: Contents,
) -> None:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:  # gone, or not ours to read
        return
    if parts and not found and _modified(folder) < unchanged_since:
        contents.empty_folders.append(parts)
    for entry in found:
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        below = (*parts, entry.name)
        with contextlib.suppress(OSError):  # gone meanwhile
            if entry.is_dir(follow_symlinks=False):
                if os.path.realpath(entry.path) not in spared:
                    _walk(entry.path, below, unchanged_since, spared, contents)
            elif entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                contents.files.append(
                    Found(
                        parts=below,
                        modified=status.st_mtime,
                        size=status.st_size,
                        inode=status.st_ino,
                    )
                )


def _modified(folder: str) -> float:
    try:
        return os.stat(folder).st_mtime  # noqa: PTH116  (os.scandir's names are text)
    except OSError:
        return float("inf")


def _delete(root: Path, file: Found) -> bool:
    try:
        with _opened(root, file.parts[:-1]) as parent:
            status = os.stat(file.name, dir_fd=parent, follow_symlinks=False)
            if (status.st_ino, status.st_mtime) != (file.inode, file.modified):
                return False  # somebody has put another one in its place
            os.unlink(file.name, dir_fd=parent)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _opened(root: Path, parts: Sequence[str]) -> Iterator[int]:
    """A folder below the root, reached without following links."""
    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            below = os.open(part, flags, dir_fd=handle)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)
