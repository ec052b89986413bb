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
from executor.job_summary import JobSummary
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


def test_jobs_that_have_run_get_what_lists_show_of_them(connection: sa.Connection) -> None:
    migrations.upgrade(connection, "0004")
    outputs = '{"9":{"images":[{"filename":"a.png","type":"output"}]}}'
    messages = '[["execution_error",{"node_id":"9"}]]'
    kept = [("succeeded", outputs, "[]"), ("failed", "{}", messages), ("failed", "{", "damaged")]
    for sequence, (state, made, told) in enumerate([*kept, ("queued", "", "")]):
        end = "1000" if state == "queued" else "1250"
        connection.exec_driver_sql(
            "insert into jobs (sequence, prompt_id, number, number_is_automatic, state, attempts, "
            "created_at, started_at, ended_at) "
            f"values ({sequence}, 'p{sequence}', 0, 1, '{state}', 1, 0, 1000, {end})"
        )
        connection.exec_driver_sql(f"insert into job_requests values ({sequence}, '12', '3', '[]')")
        if made:
            values = (sequence, made, "{}", told)
            connection.exec_driver_sql("insert into job_results values (?, ?, ?, ?)", values)

    bring_up_to_date(connection)

    jobs = metadata.tables["jobs"]
    columns = (jobs.c.summary, jobs.c.duration, jobs.c.size)
    found = connection.execute(sa.select(*columns).order_by(jobs.c.sequence)).all()
    summaries = [JobSummary.read(text) for text, _, _ in found]
    assert [summary.count for summary in summaries] == [1, 0, 0, 0]
    assert [bytes(summary.shown_error or b"") for summary in summaries] == [
        b"",
        b'{"node_id":"9"}',
        b"",
        b"",
    ]
    assert [duration for _, duration, _ in found] == [250, 250, 250, 0]
    sizes = [3 + len(made) + (2 if made else 0) + len(told) for _, made, told in kept]
    assert [size for _, _, size in found] == [*sizes, 3]


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
