"""The files of an open SQLite database: notices that they were taken away, and puts them back.

What was deleted or replaced while a server runs lives on for as long as the server has it open; a
commit to it would be lost with the process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Final, TypeAlias

log = logging.getLogger(__name__)

_LOG_SUFFIX: Final = "-wal"
_SUFFIXES: Final = (_LOG_SUFFIX, "-shm")

_Identity: TypeAlias = tuple[int, int]  # device and inode


class FilesLost(Exception):
    """The files of the job database are not those that are open."""


class FilesDamaged(Exception):
    """The file of the job database was cut short."""


class DatabaseFiles:
    """The database file and its write-ahead log, as they were when `remember` was called."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: _Identity | None = None
        self._log: _Identity | None = None
        self._size = 0  # the least that the file may have

    def remember(self) -> None:
        """What is there now is what is open; raises OSError if nothing is."""
        found = self._path.stat()
        self._database = (found.st_dev, found.st_ino)
        self._size = found.st_size
        self._log = None
        self._check_log()

    def check(self) -> None:
        """Raises FilesLost, FilesDamaged, or OSError where nothing can be said."""
        try:
            found = self._path.stat()
            if (found.st_dev, found.st_ino) != self._database:
                raise FilesLost(f"'{self._path.name}' was replaced by another file")
            self._check_log()
        except FileNotFoundError as error:
            raise FilesLost(f"'{Path(error.filename).name}' was deleted") from None
        if found.st_size < self._size:
            self._check_shorter()
        self._size = found.st_size

    def restore(self, connection: sqlite3.Connection) -> None:
        """Write all that the connection still sees to where it belongs, whole or not at all.

        What lies there is put aside. The caller closes all connections next, then opens new ones.
        Raises OSError, sqlite3.Error.
        """
        part = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex}.part")
        try:
            with contextlib.closing(sqlite3.connect(part)) as copy:
                connection.backup(copy)
            _flush(part)
            for suffix in _SUFFIXES:  # of the files that are open, or of nobody
                self._beside(suffix).unlink(missing_ok=True)
            if self._is_foreign():
                aside = self._beside(f".replaced-{time.strftime('%Y%m%d-%H%M%S')}")
                self._path.rename(aside)
                log.error("what had taken the place of the job database is kept as '%s'", aside)
            part.rename(self._path)
            _flush(self._path.parent)
        finally:
            part.unlink(missing_ok=True)

    def _check_log(self) -> None:
        try:
            found = self._beside(_LOG_SUFFIX).stat()
        except FileNotFoundError:
            if self._log is not None:
                raise
            return
        identity = (found.st_dev, found.st_ino)
        if self._log not in (None, identity):
            raise FilesLost(f"'{self._beside(_LOG_SUFFIX).name}' was replaced by another file")
        self._log = identity

    def _check_shorter(self) -> None:
        """The file has become smaller: tidied up by another program, or cut off."""
        with contextlib.closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)) as fresh:
            try:
                ((verdict,),) = fresh.execute("PRAGMA quick_check(1)").fetchall()
            except sqlite3.DatabaseError as error:
                verdict = str(error)
        if verdict != "ok":
            raise FilesDamaged(f"'{self._path.name}' was cut short: {verdict}")

    def _is_foreign(self) -> bool:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) != self._database

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
