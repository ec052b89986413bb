"""Opens the job database: its address, its lock, SQLite's settings."""

from __future__ import annotations

import contextlib
import fcntl
from pathlib import Path
from typing import IO, Any, Final

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

BUSY_WAIT_MS: Final = 3000  # how long SQLite waits for another program that has the file open


class StoreError(Exception):
    """The job database cannot be used.

    StoreError
    └── StoreInUse   another server has it open
    """

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"the job database '{url}' cannot be used: {reason}")
        self.url = url
        self.reason = reason


class StoreInUse(StoreError):
    """Another server has the job database open."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url, "another server has it open; stop that one, or give each its own --database-url"
        )


def parse_url(url: str) -> sa.URL:
    """The parts of a database's address; raises StoreError."""
    try:
        return sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreError(url, f"{error}; an example is sqlite:////folder/darkroom.db") from error


def create_engine(url: sa.URL) -> sa.Engine:
    """What makes connections to the database; raises StoreError if there is no driver for it."""
    try:
        engine = sa.create_engine(url, poolclass=NullPool)
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise StoreError(str(url), str(error)) from error
    if url.get_backend_name() == "sqlite":
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(driver: Any, _record: object) -> None:
    driver.isolation_level = None  # transactions are begun in _begin_sqlite, also for DDL
    for setting in (f"busy_timeout={BUSY_WAIT_MS}", "journal_mode=WAL", "foreign_keys=ON"):
        driver.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def lock_file(url: str, path: Path) -> IO[bytes]:
    """Hold a lock beside the database as long as it is open: two servers would share its jobs."""
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(path.with_name(path.name + ".lock").open("wb"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUse(url) from None
        except OSError as error:
            raise StoreError(url, str(error)) from error
        stack.pop_all()
        return lock
