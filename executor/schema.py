"""The tables of the job database, and the way from any older form of them to this one."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

HEAD: Final = "0007"  # the newest revision below migrations/
VERSION_TABLE: Final = "darkroom_schema_version"

metadata = sa.MetaData()


def _index_of_owned(name: str, *columns: str) -> sa.Index:
    """An index that costs nothing where no API keys are in use."""
    has_owner = sa.text("owner IS NOT NULL")
    return sa.Index(name, *columns, sqlite_where=has_owner, postgresql_where=has_owner)


# Small and often rewritten. The documents, written once, live in tables of their own, so that a
# change of state does not write them again.
jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("prompt_id", sa.Text, nullable=False),
    sa.Column("number", sa.Double, nullable=False),
    sa.Column("number_is_automatic", sa.Boolean, nullable=False),
    sa.Column("client_id", sa.Text),
    sa.Column("state", sa.Text, nullable=False),  # executor.jobs.JobState
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),  # ms since 1970, as all times
    sa.Column("started_at", sa.BigInteger),
    sa.Column("ended_at", sa.BigInteger),
    sa.Column("worker", sa.Text),
    sa.Column("error", sa.Text),
    # Place among the ended jobs, oldest first.
    sa.Column("place", sa.BigInteger),
    sa.Column("workflow_id", sa.Text),  # of the workflow that a front end submitted
    # From the last start to the end, in ms; 0 for what has not ended.
    sa.Column("duration", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("size", sa.BigInteger, nullable=False, server_default="0"),  # bytes of its documents
    sa.Column("summary", sa.Text),  # executor.job_summary.JobSummary of what has run
    sa.Column("owner", sa.Text),  # the name of the API key that submitted it, where keys are used
    sa.Index("jobs_by_state", "state", "number", "prompt_id", "sequence"),
    sa.Index("jobs_by_prompt_id", "prompt_id", unique=True),
    # With the state, so that pages of lists are found without reading any row.
    sa.Index("jobs_by_place", "place", "state"),
    sa.Index("jobs_by_creation", "created_at", "sequence", "state", "workflow_id"),
    sa.Index("jobs_by_duration", "duration", "sequence", "state", "workflow_id"),
    _index_of_owned("jobs_by_owner", "owner", "created_at", "sequence", "state", "workflow_id"),
    _index_of_owned("jobs_by_owner_and_place", "owner", "place", "state"),
)

requests = sa.Table(
    "job_requests",
    metadata,
    sa.Column(
        "sequence",
        sa.BigInteger,
        sa.ForeignKey("jobs.sequence", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("prompt", sa.Text, nullable=False),
    sa.Column("extra_data", sa.Text, nullable=False),
    sa.Column("outputs_to_execute", sa.Text, nullable=False),  # JSON list of node ids
)

results = sa.Table(
    "job_results",
    metadata,
    sa.Column(
        "sequence",
        sa.BigInteger,
        sa.ForeignKey("jobs.sequence", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("outputs", sa.Text, nullable=False),
    sa.Column("meta", sa.Text, nullable=False),
    sa.Column("messages", sa.Text, nullable=False),
)

# Whose files are, where API keys are in use: executor.file_owners.
file_owners = sa.Table(
    "file_owners",
    metadata,
    sa.Column("folder", sa.Text, primary_key=True),  # `input`, `output/sub`, ...
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("modified", sa.BigInteger, nullable=False),  # ns since 1970, when it was recorded
)

version = sa.Table(
    VERSION_TABLE,
    sa.MetaData(),  # of its own: Alembic makes it
    sa.Column("version_num", sa.String(32), primary_key=True),
)


def bring_up_to_date(connection: sa.Connection) -> None:
    """Make the tables, or migrate older ones, in the caller's transaction.

    Alembic takes long to import: it is only asked where there is something to migrate.
    """
    inspector = sa.inspect(connection)
    if not inspector.has_table(VERSION_TABLE):
        metadata.create_all(connection)
        version.create(connection)
        connection.execute(version.insert().values(version_num=HEAD))
        return
    if connection.execute(sa.select(version.c.version_num)).scalar() != HEAD:
        from executor.migrations import upgrade

        upgrade(connection)
