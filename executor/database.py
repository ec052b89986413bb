"""Access to the job database off the event loop: one writer that commits in groups, one reader.

Knows threads, transactions and SQLite's settings; the statements are the store's.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, TypeVar

import sqlalchemy as sa

from executor.database_engine import create_engine, lock_file, parse_url
from executor.database_files import DatabaseFiles, FilesDamaged, FilesLost
from executor.jobs import StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Operation: TypeAlias = Callable[[sa.Connection], T]
Rows: TypeAlias = Sequence[tuple[sa.Insert, Mapping[str, Any]]]

MAX_GROUP: Final = 1000  # writes that share one commit
RETRY_S: Final = 1.0  # after which writes that must not be lost are tried again, files looked at


@dataclass
class _Write:
    """One change that waits for its commit: an operation, or rows to insert."""

    operation: Operation[Any] | None
    rows: Rows
    is_durable: bool  # flushed to disk before it counts as done
    is_kept: bool  # tried again for as long as the database cannot be written
    done: asyncio.Future[Any]
    tried: asyncio.Future[None]  # done, or kept for later
    outcome: Any = field(default=None)


class Database:
    """An open database. `write`, `insert` and `read` are called on the event loop that opened it.

    Writes are committed in the order of the calls; a read sees all writes called before it, except
    those that are kept until the database can be written again. `on_rollback` is called in the
    writer's thread when operations are undone that may run again.
    """

    def __init__(self, url: str, on_rollback: Callable[[], None] = lambda: None) -> None:
        self._on_rollback = on_rollback
        self._outage: Exception | None = None  # why the last group could not be written
        self._loop = asyncio.get_running_loop()
        self._lock: IO[bytes] | None = None
        self._writes: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._last_write: asyncio.Future[None] | None = None
        self.revision = 0  # another one when a write is asked for, and when it is done
        self._is_closed = False
        parsed = parse_url(url)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._is_in_memory = self._is_sqlite and parsed.database in (None, "", ":memory:")
        self._files: DatabaseFiles | None = None
        if self._is_sqlite and not self._is_in_memory:
            self._lock = lock_file(url, Path(str(parsed.database)))
            self._files = DatabaseFiles(Path(str(parsed.database)))
        self._engine = create_engine(parsed)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._reading: sa.Connection | None = None
        self._while_reading = threading.Lock()  # the writer closes `_reading` to open files anew
        self._thread = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._thread.start()

    async def write(self, operation: Operation[T], *, is_durable: bool = False) -> T:
        """Run an operation in a transaction; returns its result once that is committed.

        Raises StoreUnavailable, and what the operation raises.
        """
        result: T = await self.submit(operation, is_durable=is_durable)
        return result

    def submit(
        self, operation: Operation[Any], *, is_durable: bool = False, is_kept: bool = False
    ) -> asyncio.Future[Any]:
        """As `write`, for callers that do not wait.

        `is_kept`: while the database cannot be written it is tried again and again.
        """
        return self._put(operation, (), is_durable, is_kept)

    async def insert(self, rows: Rows) -> None:
        """Insert rows; returns once they are on disk, whatever happens to the machine then.

        Raises StoreUnavailable, IntegrityError.
        """
        await self._put(None, rows, True, False)

    async def read(self, operation: Operation[T]) -> T:
        """Run a read-only operation on the reader's connection. Raises StoreUnavailable."""
        if self._is_in_memory:  # such a database has one connection only
            return await self.write(operation)
        if self._last_write is not None and not self._last_write.done():
            await asyncio.wait([self._last_write])
        return await self._loop.run_in_executor(self._reader, self._read, operation)

    async def close(self) -> None:
        """Commit what is pending and close the files. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        self._writes.put(None)
        await asyncio.to_thread(self._thread.join)
        await self._loop.run_in_executor(self._reader, self._close_reader)
        self._reader.shutdown()
        self._engine.dispose()
        if self._lock is not None:
            self._lock.close()

    def _put(
        self, operation: Operation[Any] | None, rows: Rows, is_durable: bool, is_kept: bool
    ) -> asyncio.Future[Any]:
        if self._is_closed:
            raise RuntimeError("the job database is closed")
        self.revision += 1
        done, self._last_write = self._loop.create_future(), self._loop.create_future()
        self._writes.put(_Write(operation, rows, is_durable, is_kept, done, self._last_write))
        return done

    def _read(self, operation: Operation[T]) -> T:
        try:
            with self._while_reading:
                if self._reading is None:
                    self._reading = self._engine.connect()
                try:
                    return operation(self._reading)
                finally:
                    self._reading.rollback()
        except sa.exc.DatabaseError as error:
            if not _is_outage(error):
                raise
            raise _unavailable(error) from error

    def _close_reader(self) -> None:
        with self._while_reading:
            if self._reading is not None:
                self._reading.close()
                self._reading = None

    def _write_loop(self) -> None:
        try:
            writer = self._open_writer()
        except (sa.exc.SQLAlchemyError, OSError) as error:
            self._refuse_all(error)
            return
        kept: list[_Write] = []
        is_ending = False
        while not is_ending:
            group, is_ending = self._take_group(RETRY_S if kept or self._files else None)
            group = kept + group
            try:
                self._look_after(writer)
                if group:
                    connection = writer.connection(any(write.is_durable for write in group))
                    group = self._commit(connection, group)
            except Exception as error:  # of the files, or of opening them anew
                self._note_outage(error)
            kept = self._keep(group)
        writer.close()
        if kept:
            log.error("the job database cannot be written: %d changes are lost", len(kept))
            self._tell(kept, _unavailable(self._outage))

    def _take_group(self, wait_s: float | None) -> tuple[list[_Write], bool]:
        """Wait for a write and take all that have come by then; whether it is time to end."""
        group: list[_Write] = []
        try:
            write = self._writes.get(timeout=wait_s)
            while write is not None:
                group.append(write)
                if len(group) == MAX_GROUP:
                    return group, False
                write = self._writes.get_nowait()
        except queue.Empty:
            return group, False
        return group, True

    def _keep(self, unwritten: list[_Write]) -> list[_Write]:
        """Refuse what cannot be written at the moment; the writes that will be tried again."""
        kept = [write for write in unwritten if write.is_kept]
        refused = [write for write in unwritten if not write.is_kept]
        if refused:
            self._tell(refused, _unavailable(self._outage))
        if kept:
            self._loop.call_soon_threadsafe(_mark_tried, kept)
        return kept

    def _tell(self, group: list[_Write], error: Exception | None) -> None:
        self._loop.call_soon_threadsafe(self._settle, group, error)

    def _settle(self, group: list[_Write], error: Exception | None) -> None:
        self.revision += 1
        _settle(group, error)

    def _commit(self, connection: sa.Connection, group: list[_Write]) -> list[_Write]:
        """Commit a group; those that could not be, because the database cannot be written."""
        try:
            with connection.begin():
                _run(connection, group)
                if self._files is not None:
                    self._files.check()
        except Exception as error:
            self._on_rollback()
            is_of_one = len(group) > 1 and _is_damage(error)  # others may be where all is well
            if _is_outage(error) and not is_of_one:
                self._note_outage(error)
                return group
            if len(group) > 1:  # one bad write must not take the others down
                half = len(group) // 2
                unwritten = self._commit(connection, group[:half])
                rest = group[half:]
                if unwritten and not is_of_one:
                    return [*unwritten, *rest]
                return [*unwritten, *self._commit(connection, rest)]
            if not isinstance(error, sa.exc.IntegrityError):  # those are the client's
                log.error("a write to the job database failed: %s", error)
            self._tell(group, error)
            return []
        if self._outage is not None:
            log.warning("the job database can be written again")
            self._outage = None
        self._tell(group, None)
        return []

    def _note_outage(self, error: Exception) -> None:
        if self._outage is None:
            log.error("the job database cannot be used: %s", _unavailable(error))
        self._outage = error

    def _open_writer(self) -> _Writer:
        writer = _Writer(self._engine, self._is_sqlite)
        writer.connection(is_durable=True)
        if self._files is not None:
            self._files.remember()
        return writer

    def _look_after(self, writer: _Writer) -> None:
        """Put the files back that are to be there; after damage, look at them anew.

        Raises OSError, sqlite3.Error, FilesDamaged.
        """
        if self._files is None:
            return
        try:
            self._files.check()
            if not _is_damage(self._outage):
                return
            self._close_reader()
            writer.close()
        except FilesLost as error:
            self._files.restore(writer.driver)
            # The new files are opened only now: closing the old ones deletes a log of that name.
            self._close_reader()
            writer.close()
            writer.connection(is_durable=True)
            self._files.remember()
            log.error("%s while the server runs; the job database was written anew", error)

    def _refuse_all(self, error: Exception) -> None:
        while (write := self._writes.get()) is not None:
            self._tell([write], _unavailable(error))


class _Writer:
    """The connection that writes, opened when it is needed."""

    def __init__(self, engine: sa.Engine, is_sqlite: bool) -> None:
        self._engine = engine
        self._is_sqlite = is_sqlite
        self._connection: sa.Connection | None = None
        self._is_durable: bool | None = None

    @property
    def driver(self) -> sqlite3.Connection:
        """SQLite's own connection."""
        driver = self.connection(is_durable=True).connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return driver

    def connection(self, is_durable: bool) -> sa.Connection:
        """The connection, and whether its next commit must survive a power failure.

        Else it survives the end of the process at any point, but not always that of the machine.
        """
        if self._connection is None:
            self._connection = self._engine.connect()
            self._is_durable = None
        if self._is_sqlite and is_durable != self._is_durable:
            driver: Any = self._connection.connection.driver_connection
            driver.execute(f"PRAGMA synchronous={'FULL' if is_durable else 'NORMAL'}")
            self._is_durable = is_durable
        return self._connection

    def close(self) -> None:
        """Let go of the files. Idempotent."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _run(connection: sa.Connection, group: list[_Write]) -> None:
    """Run the writes in order; neighbouring inserts go to the database as one."""
    pending: dict[sa.Insert, list[Mapping[str, Any]]] = {}
    for write in group:
        if write.operation is None:
            for statement, values in write.rows:
                pending.setdefault(statement, []).append(values)
        else:
            _insert(connection, pending)
            write.outcome = write.operation(connection)
    _insert(connection, pending)


def _insert(connection: sa.Connection, pending: dict[sa.Insert, list[Mapping[str, Any]]]) -> None:
    for statement, values in pending.items():
        connection.execute(statement, values)
    pending.clear()


def _settle(group: list[_Write], error: Exception | None) -> None:
    _mark_tried(group)
    for write in group:
        if write.done.done():  # whoever waited was cancelled
            continue
        if error is None:
            write.done.set_result(write.outcome)
        else:
            write.done.set_exception(error)


def _mark_tried(group: list[_Write]) -> None:
    for write in group:
        if not write.tried.done():
            write.tried.set_result(None)


def _is_outage(error: Exception) -> bool:
    """Whether it is the database that cannot be used, and not a statement that is wrong."""
    if isinstance(error, FilesLost | FilesDamaged | OSError):
        return True
    about_statements = (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.ProgrammingError)
    return isinstance(error, sa.exc.DatabaseError) and not isinstance(error, about_statements)


def _is_damage(error: Exception | None) -> bool:
    """Whether the content of the file makes no sense. Some of it may."""
    if isinstance(error, FilesDamaged):
        return True
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _unavailable(error: Exception | None) -> StoreUnavailable:
    return StoreUnavailable(str(getattr(error, "orig", error)))
