"""Group commit: writes share transactions, but not each other's failures."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from executor.database import Database
from executor.jobs import StoreUnavailable

metadata = sa.MetaData()
notes = sa.Table("notes", metadata, sa.Column("text", sa.Text, nullable=False))
insert = sa.insert(notes)
count = sa.select(sa.func.count()).select_from(notes)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    await database.write(metadata.create_all)
    yield database
    await database.close()


def commits(database: Database) -> list[str]:
    """What the database does from now on: `commit` and `synchronous` statements."""
    seen: list[str] = []
    engine = database._engine
    sa.event.listen(engine, "commit", lambda connection: seen.append("commit"))
    return seen


async def count_notes(database: Database) -> int:
    return await database.read(lambda connection: int(connection.execute(count).scalar_one()))


async def test_writes_that_come_together_share_a_commit(database: Database) -> None:
    seen = commits(database)
    is_held, go_on = threading.Event(), threading.Event()

    def hold(connection: sa.Connection) -> None:
        is_held.set()
        assert go_on.wait(20)

    first = database.submit(hold)
    await asyncio.to_thread(is_held.wait, 20)
    inserts = [asyncio.create_task(database.insert([(insert, {"text": str(i)})])) for i in range(9)]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, *inserts)

    assert seen == ["commit", "commit"]
    assert await count_notes(database) == 9


async def test_an_insert_is_on_disk_when_it_returns(database: Database, tmp_path: Path) -> None:
    await database.insert([(insert, {"text": "a"})])

    with sqlite3.connect(tmp_path / "x.db") as other:
        assert other.execute("select count(*) from notes").fetchone() == (1,)
    other.close()


async def test_inserts_are_flushed_and_state_changes_are_not(database: Database) -> None:
    def synchronous(connection: sa.Connection) -> int:
        return int(connection.exec_driver_sql("PRAGMA synchronous").scalar_one())

    normal, full = 1, 2
    assert await database.write(synchronous) == normal
    assert await database.write(synchronous, is_durable=True) == full
    assert await database.write(synchronous) == normal


async def test_a_bad_write_fails_alone(database: Database) -> None:
    is_held, go_on = threading.Event(), threading.Event()

    def hold(connection: sa.Connection) -> None:
        is_held.set()
        assert go_on.wait(20)

    first = database.submit(hold)
    await asyncio.to_thread(is_held.wait, 20)
    texts = ["a", None, "b"]
    inserts = [asyncio.create_task(database.insert([(insert, {"text": text})])) for text in texts]
    await asyncio.sleep(0)
    go_on.set()
    await first
    good, bad, also_good = await asyncio.gather(*inserts, return_exceptions=True)

    assert good is None and also_good is None
    assert isinstance(bad, sa.exc.IntegrityError)
    assert await count_notes(database) == 2


async def test_a_read_sees_what_was_written_before_it(database: Database) -> None:
    for i in range(20):
        database.submit(lambda connection: connection.execute(insert, {"text": "x"}) and None)
        assert await count_notes(database) == i + 1


async def test_a_failed_write_leaves_nothing_behind(database: Database) -> None:
    def fail(connection: sa.Connection) -> None:
        connection.execute(insert, {"text": "half"})
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await database.write(fail)
    assert await count_notes(database) == 0


async def test_a_caller_that_gave_up_does_not_disturb_the_writer(database: Database) -> None:
    task = asyncio.create_task(database.insert([(insert, {"text": "a"})]))
    await asyncio.sleep(0)
    task.cancel()
    await database.insert([(insert, {"text": "b"})])

    assert await count_notes(database) == 2


async def test_a_closed_database_refuses_writes(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'y.db'}")
    await database.close()

    with pytest.raises(RuntimeError, match="closed"):
        await database.insert([(insert, {"text": "a"})])


def adding(text: str) -> Callable[[sa.Connection], int]:
    """An operation that adds a note."""
    return lambda connection: connection.execute(insert, {"text": text}).rowcount


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program writes to the database, and does not come to an end."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_while_the_database_cannot_be_written_some_is_refused_and_some_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.database_engine.BUSY_WAIT_MS", 20)
    monkeypatch.setattr("executor.database.RETRY_S", 0.02)
    rollbacks: list[bool] = []
    database = Database(f"sqlite:///{tmp_path / 'z.db'}", lambda: rollbacks.append(True))
    await database.write(metadata.create_all)
    with locked(tmp_path / "z.db"):
        kept = [database.submit(adding(text), is_kept=True) for text in ("first", "second")]
        with pytest.raises(StoreUnavailable, match="locked"):
            await database.insert([(insert, {"text": "refused"})])
        assert await count_notes(database) == 0  # reads wait for no kept write
        assert not any(write.done() for write in kept)
    assert await asyncio.gather(*kept) == [1, 1]
    assert rollbacks
    texts = sa.select(notes.c.text)
    found = await database.read(lambda connection: list(connection.execute(texts).scalars()))
    assert found == ["first", "second"]
    await database.insert([(insert, {"text": "accepted"})])
    await database.close()


async def test_what_cannot_be_written_to_the_end_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("executor.database_engine.BUSY_WAIT_MS", 20)
    database = Database(f"sqlite:///{tmp_path / 'z.db'}")
    await database.write(metadata.create_all)
    with locked(tmp_path / "z.db"):
        kept = database.submit(adding("x"), is_kept=True)
        await database.close()
        with pytest.raises(StoreUnavailable):
            await kept
