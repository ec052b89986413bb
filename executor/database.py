"""Access to the job database off the event loop: one writer that commits in groups, one reader.

Knows threads, transactions and SQLite's settings; the statements are the store's.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from executor.jobs import StoreUnavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Operation: TypeAlias = Callable[[sa.Connection], T]
Rows: TypeAlias = Sequence[tuple[sa.Insert, Mapping[str, Any]]]

MAX_GROUP: Final = 1000  # writes that share one commit
RETRY_S: Final = 1.0  # after which writes that must not be lost are tried again
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
        parsed = _parse(url)
        self._is_sqlite = parsed.get_backend_name() == "sqlite"
        self._is_in_memory = self._is_sqlite and parsed.database in (None, "", ":memory:")
        if self._is_sqlite and not self._is_in_memory:
            self._lock = _lock_file(url, Path(str(parsed.database)))
        self._engine = _create_engine(parsed)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._reading: sa.Connection | None = None
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
        if self._reading is not None:
            self._reading.close()

    def _write_loop(self) -> None:
        try:
            connection = self._engine.connect()
        except sa.exc.SQLAlchemyError as error:
            self._refuse_all(error)
            return
        with connection:
            synchronous = _Synchronous(connection if self._is_sqlite else None)
            kept: list[_Write] = []
            is_ending = False
            while not is_ending:
                group, is_ending = self._take_group(RETRY_S if kept else None)
                group = kept + group
                synchronous.set(any(write.is_durable for write in group))
                kept = self._keep(self._commit(connection, group)) if group else []
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
        self._tell([write for write in unwritten if not write.is_kept], _unavailable(self._outage))
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
        except Exception as error:
            self._on_rollback()
            if _is_outage(error):
                if self._outage is None:
                    log.error("the job database cannot be written: %s", _unavailable(error))
                self._outage = error
                return group
            if len(group) > 1:  # one bad write must not take the others down
                half = len(group) // 2
                unwritten = self._commit(connection, group[:half])
                rest = group[half:]
                return [*unwritten, *rest] if unwritten else self._commit(connection, rest)
            if not isinstance(error, sa.exc.IntegrityError):  # those are the client's
                log.error("a write to the job database failed: %s", error)
            self._tell(group, error)
            return []
        if self._outage is not None:
            log.warning("the job database can be written again")
            self._outage = None
        self._tell(group, None)
        return []

    def _refuse_all(self, error: Exception) -> None:
        while (write := self._writes.get()) is not None:
            self._tell([write], _unavailable(error))


class _Synchronous:
    """SQLite's `synchronous`: full where a group must survive a power failure, else normal.

    With `normal` a commit survives the end of the process at any point, but not always that of
    the machine.
    """

    def __init__(self, connection: sa.Connection | None) -> None:
        self._driver: Any = connection.connection.driver_connection if connection else None
        self._is_full: bool | None = None

    def set(self, is_full: bool) -> None:
        if self._driver is not None and is_full != self._is_full:
            self._driver.execute(f"PRAGMA synchronous={'FULL' if is_full else 'NORMAL'}")
            self._is_full = is_full


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
    about_statements = (sa.exc.IntegrityError, sa.exc.DataError, sa.exc.ProgrammingError)
    return isinstance(error, sa.exc.DatabaseError) and not isinstance(error, about_statements)


def _unavailable(error: Exception | None) -> StoreUnavailable:
    return StoreUnavailable(str(getattr(error, "orig", error)))


def _parse(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreError(url, f"{error}; an example is sqlite:////folder/darkroom.db") from error


def _create_engine(url: sa.URL) -> sa.Engine:
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


def _lock_file(url: str, path: Path) -> IO[bytes]:
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
