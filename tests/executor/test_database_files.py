"""Files of the database that are taken away while it is open: nothing is lost."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from executor.database import Database
from executor.jobs import StoreUnavailable
from tests.executor.listening import eventually

metadata = sa.MetaData()
notes = sa.Table("notes", metadata, sa.Column("text", sa.Text, nullable=False))
insert = sa.insert(notes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "user").mkdir()
    return tmp_path / "user" / "jobs.db"


@pytest.fixture
async def database(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    monkeypatch.setattr("executor.database.RETRY_S", 0.02)
    database = Database(f"sqlite:///{path}")
    await database.write(metadata.create_all)
    await add(database, "first")
    yield database
    await database.close()


async def add(database: Database, text: str) -> None:
    await database.insert([(insert, {"text": text})])


async def read(database: Database) -> list[str]:
    texts = sa.select(notes.c.text)
    return await database.read(lambda connection: list(connection.execute(texts).scalars()))


def on_disk(path: Path) -> list[str]:
    """What another program finds."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as other:
        return [text for (text,) in other.execute("select text from notes")]


def delete(*suffixes: str) -> object:
    def do(path: Path) -> None:
        for suffix in suffixes:
            path.with_name(path.name + suffix).unlink()

    return do


def replace(path: Path) -> None:
    other = path.with_name("other.db")
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("create table notes (text text)")
        connection.execute("insert into notes values ('foreign')")
    other.rename(path)


def replace_log(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    shutil.copyfile(log, log.with_name("copy"))
    log.with_name("copy").rename(log)


def cut_in_half(path: Path) -> bytes:
    """What was there before."""
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(len(whole) // 2)
    return whole


def write_into(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


@pytest.mark.parametrize(
    "harm",
    [
        delete(""),
        delete("-wal"),
        delete("-shm", "-wal"),
        delete("", "-wal", "-shm"),
        replace,
        replace_log,
    ],
)
async def test_files_that_were_taken_away_are_written_anew(
    database: Database, path: Path, harm: object
) -> None:
    assert callable(harm)
    assert await read(database) == ["first"]
    harm(path)
    # Whether or not the loss is noticed before a write comes: what is accepted is there.
    await add(database, "second")
    assert on_disk(path) == ["first", "second"]
    assert await read(database) == ["first", "second"]
    assert list(path.parent.glob("*.part*")) == []
    aside = list(path.parent.glob("*.replaced-*"))
    assert [on_disk(found) for found in aside] == ([["foreign"]] if harm is replace else [])


async def test_files_are_written_anew_although_nothing_is_written(
    database: Database, path: Path
) -> None:
    delete("", "-wal", "-shm")(path)  # type: ignore[operator]
    await eventually(lambda: path.exists())
    assert on_disk(path) == ["first"]


async def test_without_a_folder_writes_are_refused_until_there_is_one(
    database: Database, path: Path
) -> None:
    assert await read(database) == ["first"]
    shutil.rmtree(path.parent)
    with pytest.raises(StoreUnavailable, match="unable to open"):
        await add(database, "refused")
    kept = database.submit(
        lambda connection: connection.execute(insert, {"text": "kept"}).rowcount, is_kept=True
    )
    assert await read(database) == ["first"]
    path.parent.mkdir()
    assert await kept == 1
    assert on_disk(path) == ["first", "kept"]


async def test_a_file_that_was_cut_short_refuses_writes_until_it_is_whole(
    database: Database, path: Path
) -> None:
    for number in range(200):
        await add(database, str(number) * 200)
    await database.close()
    again = Database(f"sqlite:///{path}")
    await again.write(lambda connection: None)  # it is open
    whole = cut_in_half(path)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cut short"):
            await add(again, "refused")
    write_into(path, whole)
    await add(again, "accepted")
    assert (await read(again))[-2:] == ["199" * 200, "accepted"]
    await again.close()


async def test_a_file_that_another_program_has_tidied_up_is_not_damaged(
    database: Database, path: Path
) -> None:
    for number in range(200):
        await add(database, str(number) * 200)
    with closing(sqlite3.connect(path)) as other:
        other.execute("delete from notes where text != 'first'")
        other.commit()
        other.execute("vacuum")
        other.execute("pragma wal_checkpoint(truncate)")
    await add(database, "second")
    assert await read(database) == ["first", "second"]
