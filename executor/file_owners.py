"""Whose the files in input, output and temp are, where API keys are in use.

A record holds for a file as it was when it was written: what another program has changed since then
belongs to nobody. Files of nobody in input are everybody's, as models are; those in output and temp
are shown to no key but those that see everything.
"""

from __future__ import annotations

import asyncio
import os.path
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, get_args

import sqlalchemy as sa

from executor import statements
from executor.database import Database
from executor.folders import FileType, FolderError, Folders
from executor.job_summary import MODEL_SUFFIXES
from executor.messages import JsonObject
from executor.named_files import NamedFile

_INPUT: Final = "input"
# Clocks of file systems, and the seconds of some, differ a little from the server's.
_SLACK_NS: Final = 2_000_000_000


class Place(NamedTuple):
    """Where a file lies: `output/sub`, `x.png`."""

    folder: str
    name: str


class FileOwners:
    """The records. Files are looked at in the threads of the database, never on the event loop."""

    def __init__(self, database: Database, folders: Folders) -> None:
        self._database = database
        self._folders = folders
        self._held: dict[Place, str] = {}  # files that are being written, and for whom

    @contextmanager
    def holding(self, owner: str) -> Iterator[Callable[[Path], None]]:
        """Gives a function, for any thread, that makes a file the owner's until the block ends.

        Else a file would be everybody's from when it has its name until its record is written.
        """
        held: list[Place] = []

        def hold(path: Path) -> None:
            place = self._place(path)
            if place is not None:
                self._held[place] = owner
                held.append(place)

        try:
            yield hold
        finally:
            for place in held:
                self._held.pop(place, None)

    async def forget_temp(self) -> None:
        """The folder for temporary files was emptied."""
        await self._database.write(lambda connection: connection.execute(statements.forget_temp))

    async def claim(self, owner: str, *paths: Path) -> None:
        """The owner has written these files. Raises StoreUnavailable."""

        def operation(connection: sa.Connection) -> None:
            for path in paths:
                self._claim(connection, owner, path, 0)

        await self._database.write(operation)

    def claim_shown(self, owner: str, shown: JsonObject, since_ms: int) -> None:
        """A job of the owner that started then shows files: those written since are the owner's.

        Reads that are asked for from now on know it.
        """
        files = list(shown_files(shown))
        if not files:
            return

        def operation(connection: sa.Connection) -> None:
            for file_type, relative in files:
                try:
                    path = self._folders.file_path(file_type, relative)
                except FolderError:
                    continue  # what the node shows is no file that clients could have
                self._claim(connection, owner, path, since_ms * 1_000_000 - _SLACK_NS)

        future: asyncio.Future[None] = self._database.submit(operation, is_kept=True)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def may_read(self, owner: str, path: Path) -> bool:
        """Whether it is the owner's file or everybody's. Raises StoreUnavailable."""
        return await self._database.read(lambda connection: self._may_read(connection, owner, path))

    async def may_use(self, owner: str, path: Path) -> bool:
        """As `may_read`; of a folder, whether that holds for all in it."""

        def operation(connection: sa.Connection) -> bool:
            if path.is_dir():
                return self._may_read_all(connection, owner, path)
            return self._may_read(connection, owner, path)

        return await self._database.read(operation)

    async def written_by(self, owner: str, folder: Path) -> Mapping[str, int]:
        """The files in a folder that the owner wrote, with their modification times in ns."""

        def operation(connection: sa.Connection) -> Mapping[str, int]:
            place = self._place(folder / "any")
            values = {"in_folder": place.folder if place else "", "of_owner": owner}
            rows = connection.execute(statements.files_of_owner, values)
            return {row.name: row.modified for row in rows}

        return await self._database.read(operation)

    async def inputs_of_others(self, owner: str) -> frozenset[str]:
        """The names of all input files that the owner may not see, and of the folders they are in.

        A folder can be read as a whole only.
        """

        def operation(connection: sa.Connection) -> frozenset[str]:
            rows = connection.execute(statements.inputs_of_others, {"of_owner": owner}).all()
            places = [Place(row.folder, row.name) for row in rows]
            names = {
                f"{place.folder}/{place.name}".removeprefix("input/")
                for place, row in zip(places, rows, strict=True)
                if _modified(self._path(place)) == row.modified
            }
            return frozenset(names | {name.partition("/")[0] for name in names})

        return await self._database.read(operation)

    async def first_of_others(
        self, owner: str, named: Callable[[], Iterable[NamedFile]]
    ) -> NamedFile | None:
        """The first of these names whose file, or folder, the owner may not read.

        They are listed in a thread.
        """

        def operation(connection: sa.Connection) -> NamedFile | None:
            for file in named():
                path = self._named(file)
                if path is None:
                    continue
                if file.is_folder:
                    may_read = self._may_read_all(connection, owner, path)
                else:
                    may_read = self._may_read(connection, owner, path)
                if not may_read:
                    return file
            return None

        return await self._database.read(operation)

    def _claim(self, connection: sa.Connection, owner: str, path: Path, since_ns: int) -> None:
        place, modified = self._place(path), _modified(path)
        if place is None or modified is None or modified < since_ns:
            return
        if self._owner(connection, place, modified) is not None:
            return  # as it is now, it was written by a job or an upload before
        key = {"in_folder": place.folder, "of_name": place.name}
        connection.execute(statements.forget_file, key)
        row = place._asdict() | {"owner": owner, "modified": modified}
        connection.execute(statements.insert_file, row)

    def _may_read(self, connection: sa.Connection, owner: str, path: Path) -> bool:
        place = self._place(path)
        if place is None:
            return True  # a model to which the machine's owner has made a link
        while True:
            held = self._held.get(place)
            if held is not None:
                return held == owner
            modified = _modified(path)
            if modified is None:
                return True  # nothing at all
            found = self._owner(connection, place, modified)
            if place not in self._held and _modified(path) == modified:  # not written meanwhile
                break
        return found == owner or (found is None and place.folder.split("/")[0] == _INPUT)

    def _owner(self, connection: sa.Connection, place: Place, modified: int) -> str | None:
        values = {"in_folder": place.folder, "of_name": place.name}
        row = connection.execute(statements.file_owner, values).first()
        return row.owner if row is not None and row.modified == modified else None

    def _place(self, path: Path) -> Place | None:
        """Where a file lies once all links are followed; None for a place in no such folder."""
        real = os.path.realpath(path)
        roots = {word: os.path.realpath(self._folders.directory(word)) for word in _types()}
        for word, root in sorted(roots.items(), key=lambda item: -len(item[1])):
            if real.startswith(root.rstrip(os.sep) + os.sep):
                relative = os.path.relpath(real, root)
                folder, name = os.path.split(relative)
                return Place(f"{word}/{folder}" if folder else word, name)
        return None

    def _path(self, place: Place) -> Path:
        word, _, folder = place.folder.partition("/")
        return self._folders.directory(word) / folder / place.name

    def _named(self, file: NamedFile) -> Path | None:
        try:
            if file.text.startswith("/"):
                return Path(file.text)
            return self._folders.annotated_path(file.text)
        except FolderError:
            return None  # validation or the node says so

    def _may_read_all(self, connection: sa.Connection, owner: str, folder: Path) -> bool:
        if self._place(folder / "any") is None:
            return True
        return all(
            self._may_read(connection, owner, Path(where, name))
            for where, _, names in os.walk(folder)
            for name in names
        )


def shown_files(shown: JsonObject) -> Iterator[tuple[str, str]]:
    """Type and relative name of the files in what a node shows."""
    for items in shown.values():
        for item in items if isinstance(items, list) else ():
            if isinstance(item, str) and item.lower().endswith(MODEL_SUFFIXES):
                yield "output", item
            if not isinstance(item, dict) or item.get("type") not in _types():
                continue
            name, subfolder = item.get("filename"), item.get("subfolder") or ""
            if isinstance(name, str) and isinstance(subfolder, str):
                yield item["type"], f"{subfolder}/{name}".lstrip("/")


def _types() -> Sequence[str]:
    return get_args(FileType)


def _modified(path: Path) -> int | None:
    """When a file was written last, in ns; None if there is none."""
    try:
        return os.stat(path).st_mtime_ns if os.path.isfile(path) else None  # noqa: PTH113, PTH116
    except (OSError, ValueError):
        return None
