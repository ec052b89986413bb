"""The files that clients keep for a user: workflows, style sheets, templates of nodes."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from executor.folders import OutsideFolder, inside
from server.atomic import is_part, replacing
from server.errors import BadRequest, Conflict, Forbidden, NotFound
from server.file_names import is_text
from server.users import RESERVED

_DEEPEST: Final = 64  # folders in a name: deep trees are slow to walk

# What the system says of names that it cannot use; anything else is no fault of the client.
_NAME_ERRORS: Final = frozenset(
    {
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EEXIST,
        errno.EISDIR,
        errno.EINVAL,
        errno.EILSEQ,
        errno.ELOOP,
    }
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file or folder that is there."""

    path: str  # relative to some folder, with /
    is_folder: bool
    size: int  # bytes
    modified: int  # milliseconds, as all times of this API
    created: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def locate(root: Path, name: str) -> Path:
    """The path of a user's file, existing or not. Raises BadRequest, Forbidden.

    Unlike model folders, a user's folder is written by clients: links out of it are not followed.
    """
    if "\0" in name:
        raise BadRequest("a file name must not hold a NUL character")
    try:
        path = inside(root, name, links_to=())
    except OutsideFolder as error:
        raise Forbidden(str(error)) from None
    parts = path.relative_to(inside(root, "")).parts
    if any(part.startswith(RESERVED) for part in parts):
        raise Forbidden(f"names that start with '{RESERVED}' are the server's own")
    if len(parts) > _DEEPEST:
        raise BadRequest(f"a file may lie {_DEEPEST - 1} folders deep, not deeper")
    return path


def find_file(root: Path, name: str) -> Path:
    """The path of a file. Raises BadRequest, Forbidden, NotFound."""
    path = locate(root, name)
    if not os.path.isfile(path):  # noqa: PTH113  (Path.is_file raises for names that are too long)
        raise NotFound(f"there is no file {name!r}")
    return path


def list_files(root: Path, name: str, *, recurse: bool) -> list[Entry]:
    """Files in a folder, sorted; paths are relative to it. Raises as `find_file` does.

    Hidden ones are left out: they are indexes of clients, not documents of users.
    """
    folder = locate(root, name)
    if not os.path.isdir(folder):  # noqa: PTH112
        raise NotFound(f"there is no folder {name!r}")
    entries = _walk(root, folder, "", recurse=recurse, hidden=False)
    files = (entry for entry in entries if not entry.is_folder)
    return sorted(files, key=lambda entry: entry.path)


def list_tree(root: Path, name: str) -> list[Entry]:
    """All folders and files below a folder: folders first, then by name.

    Paths are relative to the user's folder; if that is missing, nothing was ever stored.
    """
    folder = locate(root, name)
    if not os.path.isdir(folder):  # noqa: PTH112
        if os.path.exists(folder):  # noqa: PTH110
            raise BadRequest(f"{name!r} is a file, not a folder")
        if folder == inside(root, ""):
            return []
        raise NotFound(f"there is no folder {name!r}")
    prefix = "".join(f"{part}/" for part in folder.relative_to(inside(root, "")).parts)
    entries = _walk(root, folder, prefix, recurse=True, hidden=True)
    return sorted(entries, key=lambda entry: (not entry.is_folder, entry.name, entry.path))


def describe(root: Path, path: Path) -> Entry:
    """What there is to say of an existing file or folder."""
    return _entry(path.relative_to(inside(root, "")).as_posix(), path.stat())


class UserFiles:
    """Changes to users' files. One at a time, so that of two who claim a name one wins."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def store(self, root: Path, name: str, content: IO[bytes], *, overwrite: bool) -> Entry:
        """Write a file. Raises BadRequest, Conflict, Forbidden."""
        async with self._turn:
            return await asyncio.to_thread(_store, root, name, content, overwrite)

    async def remove(self, root: Path, name: str) -> None:
        """Delete a file. Raises BadRequest, Forbidden, NotFound."""
        async with self._turn:
            await asyncio.to_thread(_remove, root, name)

    async def move(self, root: Path, name: str, new_name: str, *, overwrite: bool) -> Entry:
        """Rename a file or folder. Raises BadRequest, Conflict, Forbidden, NotFound."""
        async with self._turn:
            return await asyncio.to_thread(_move, root, name, new_name, overwrite)


def _store(root: Path, name: str, content: IO[bytes], overwrite: bool) -> Entry:
    target = _target(root, name)
    with _names_checked(name):
        _claim(target, name, overwrite)
        content.seek(0)
        with replacing(target, durable=True) as out:
            shutil.copyfileobj(content, out, 1 << 20)
        return describe(root, target)


def _remove(root: Path, name: str) -> None:
    path = locate(root, name)
    if not os.path.isfile(path) and not os.path.islink(path):  # noqa: PTH113, PTH114  (these never raise)
        raise NotFound(f"there is no file {name!r}")
    path.unlink()


def _move(root: Path, name: str, new_name: str, overwrite: bool) -> Entry:
    source, target = _target(root, name), _target(root, new_name)
    if not os.path.exists(source):  # noqa: PTH110
        raise NotFound(f"there is no file {name!r}")
    with _names_checked(new_name):
        _claim(target, new_name, overwrite and source.is_file())
        source.replace(target)
        return describe(root, target)


def _target(root: Path, name: str) -> Path:
    path = locate(root, name)
    if name.endswith("/") or path == inside(root, ""):
        raise BadRequest(f"{name!r} is no file name")
    return path


def _claim(target: Path, name: str, overwrite: bool) -> None:
    """Make sure that a file can be put there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise Conflict(f"there is a folder {name!r}")
    if not overwrite and os.path.lexists(target):
        raise Conflict(f"there is a file {name!r} already")


@contextmanager
def _names_checked(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NAME_ERRORS:
            raise
        reason = os.strerror(error.errno or 0)
        raise BadRequest(f"the name {name!r} cannot be used", details=reason) from None


def _walk(root: Path, top: Path, prefix: str, *, recurse: bool, hidden: bool) -> Iterator[Entry]:
    """What lies in a folder; paths begin with `prefix`.

    Linked folders are named, not entered: they would be walked twice, or without end.
    """
    real_root = os.path.realpath(root)
    waiting = [(str(top), prefix)]
    while waiting:
        folder, prefix = waiting.pop()
        for entry in _scan(folder):
            if not _is_shown(entry.name, hidden):
                continue
            try:
                status = entry.stat()
            except OSError:  # gone meanwhile, or a link to nothing
                continue
            is_folder, is_link = stat.S_ISDIR(status.st_mode), entry.is_symlink()
            if not is_folder and not stat.S_ISREG(status.st_mode):
                continue
            if is_link and not _is_within(os.path.realpath(entry.path), real_root):
                continue
            yield _entry(prefix + entry.name, status)
            if recurse and is_folder and not is_link:
                waiting.append((entry.path, f"{prefix}{entry.name}/"))


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:  # gone meanwhile, or not ours to read
        return []


def _is_shown(name: str, hidden: bool) -> bool:
    if name.startswith(RESERVED) or is_part(name) or not is_text(name):
        return False
    return hidden or not name.startswith(".")


def _entry(path: str, status: os.stat_result) -> Entry:
    return Entry(
        path=path,
        is_folder=stat.S_ISDIR(status.st_mode),
        size=status.st_size,
        modified=status.st_mtime_ns // 1_000_000,
        created=status.st_ctime_ns // 1_000_000,
    )


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
