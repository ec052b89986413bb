"""What has been loaded from which file, so that nothing is opened and built twice.

What is kept here rests: see models.network. Its weights take memory only while models.residents
has them there, whoever holds the handles.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar, cast

T = TypeVar("T")

MOST_ENTRIES: Final = 64  # a module without weights takes some MB


class FileIdentity(NamedTuple):
    """A file and its content, as far as one can tell without reading it."""

    path: Path
    device: int
    inode: int
    size: int
    changed_ns: int


def identity(path: Path) -> FileIdentity | None:
    """What tells a file from others and from its former self; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return FileIdentity(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class Library:
    """Loaded files, least recently asked for first."""

    def __init__(self) -> None:
        self.builds = 0  # how often a file was really opened and built, with all that is in it
        self._depth = 0  # of builds that ask for others
        self._entries: OrderedDict[Hashable, tuple[tuple[FileIdentity, ...], object]]
        self._entries = OrderedDict()

    def __len__(self) -> int:
        """How many files there are."""
        entries = list(self._entries.values())  # may be asked from another thread
        return len({file.path for files, _ in entries for file in files})

    def fetch(self, kind: Hashable, paths: tuple[Path, ...], build: Callable[[], T]) -> T:
        """What `build` made of these files, now or when they were asked for before.

        `kind` says what else it depends on. Files that have changed are loaded anew.
        """
        files = [identity(path) for path in paths]
        known = tuple(file for file in files if file is not None)
        if len(known) < len(files):
            return build()  # it says which file is missing
        key = (kind, paths)
        entry = self._entries.get(key)
        if entry is None or entry[0] != known:
            self._entries.pop(key, None)
            self._drop_outdated()
            entry = (known, self._built(build))
            self._entries[key] = entry
            if len(self._entries) > MOST_ENTRIES:
                self._entries.popitem(last=False)
        self._entries.move_to_end(key)
        return cast(T, entry[1])

    def _built(self, build: Callable[[], T]) -> T:
        self._depth += 1
        try:
            made = build()
        finally:
            self._depth -= 1
        self.builds += self._depth == 0
        return made

    def newest(self, kind: type[T], fits: Callable[[T], bool]) -> T | None:
        """What was asked for last of all that is of a kind and fits."""
        loaded = (found for _, found in reversed(self._entries.values()))
        return next((found for found in loaded if isinstance(found, kind) and fits(found)), None)

    def _drop_outdated(self) -> None:
        """Let go of files that were deleted or changed, which would keep their place on disk."""
        for key, (files, _) in list(self._entries.items()):
            if any(identity(file.path) != file for file in files):
                del self._entries[key]

    def clear(self) -> None:
        """Let go of everything; what others hold stays with them."""
        self._entries.clear()
