"""The form of the job database, and its migrations."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from executor import migrations
from executor.schema import HEAD, VERSION_TABLE, bring_up_to_date, metadata, version


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sa.Connection]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def differences(connection: sa.Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return list(compare_metadata(context, metadata))


def test_migrating_from_nothing_gives_the_tables_of_the_code(connection: sa.Connection) -> None:
    migrations.upgrade(connection)

    assert differences(connection) == []
    assert connection.execute(sa.select(version.c.version_num)).scalar() == HEAD


def test_a_new_database_is_the_same_as_a_migrated_one(connection: sa.Connection) -> None:
    bring_up_to_date(connection)

    assert differences(connection) == []
    assert connection.execute(sa.select(version.c.version_num)).scalar() == HEAD


def test_the_code_names_the_newest_migration() -> None:
    script = ScriptDirectory.from_config(migrations.configuration())

    assert script.get_current_head() == HEAD


def test_an_older_database_is_migrated(connection: sa.Connection) -> None:
    version.create(connection)  # a database of the time before the first revision

    bring_up_to_date(connection)

    assert differences(connection) == []


def test_jobs_of_the_first_form_learn_which_workflow_they_are_of(connection: sa.Connection) -> None:
    migrations.upgrade(connection, "0001")
    extras = ['{"extra_pnginfo":{"workflow":{"id":"w"}}}', '{"extra_pnginfo":null}', "{}"]
    for sequence, extra_data in enumerate(extras):
        connection.exec_driver_sql(
            "insert into jobs (sequence, prompt_id, number, number_is_automatic, state, attempts, "
            f"created_at) values ({sequence}, 'p', 0, 1, 'queued', 0, 0)"
        )
        connection.exec_driver_sql(
            f"insert into job_requests values ({sequence}, '{{}}', ?, '[]')", (extra_data,)
        )

    bring_up_to_date(connection)

    jobs = metadata.tables["jobs"]
    rows = connection.execute(sa.select(jobs.c.workflow_id).order_by(jobs.c.sequence))
    assert list(rows.scalars()) == ["w", None, None]


def test_jobs_that_shared_an_id_are_all_kept(connection: sa.Connection) -> None:
    migrations.upgrade(connection, "0002")
    states = [("a", "succeeded"), ("a", "queued"), ("b", "failed"), ("a", "failed")]
    for sequence, (prompt_id, state) in enumerate([*states, ("b", "succeeded")]):
        connection.exec_driver_sql(
            "insert into jobs (sequence, prompt_id, number, number_is_automatic, state, attempts, "
            f"created_at) values ({sequence}, '{prompt_id}', 0, 1, '{state}', 0, 0)"
        )

    bring_up_to_date(connection)

    jobs = metadata.tables["jobs"]
    rows = connection.execute(sa.select(jobs.c.prompt_id).order_by(jobs.c.sequence))
    assert list(rows.scalars()) == ["a-0", "a", "b-2", "a-3", "b"]


def test_alembic_is_not_imported_for_a_database_that_is_up_to_date(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from executor.store import Store\n"
        "async def main():\n"
        f"    store = await Store.open('sqlite:///{tmp_path / 'x.db'}')\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
        "assert not {'alembic', 'torch'} & set(sys.modules)\n"
    )
    for _ in range(2):  # a new database, then one that is there
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
