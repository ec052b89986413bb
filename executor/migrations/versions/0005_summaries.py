"""Lists in any order are found in indexes; what they show lies beside the job, as does its size."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from executor.job_summary import JobSummary
from executor.jobs import JobState, Result

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_DURATIONS = """
    UPDATE jobs SET duration = ended_at - started_at
    WHERE ended_at IS NOT NULL AND started_at IS NOT NULL
"""
_SIZES = """
    UPDATE jobs SET size =
        COALESCE((SELECT LENGTH(prompt) + LENGTH(extra_data)
            FROM job_requests WHERE job_requests.sequence = jobs.sequence), 0)
        + COALESCE((SELECT LENGTH(outputs) + LENGTH(meta) + LENGTH(messages)
            FROM job_results WHERE job_results.sequence = jobs.sequence), 0)
"""


def upgrade() -> None:
    for name in ("duration", "size"):
        column = sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        op.add_column("jobs", column)
    op.add_column("jobs", sa.Column("summary", sa.Text))
    op.execute(_DURATIONS)
    op.execute(_SIZES)
    _summarise()
    op.drop_index("jobs_by_creation", "jobs")
    columns = ["sequence", "state", "workflow_id"]
    op.create_index("jobs_by_creation", "jobs", ["created_at", *columns])
    op.create_index("jobs_by_duration", "jobs", ["duration", *columns])


def downgrade() -> None:
    op.drop_index("jobs_by_duration", "jobs")
    op.drop_index("jobs_by_creation", "jobs")
    op.create_index("jobs_by_creation", "jobs", ["created_at", "sequence", "state"])
    for name in ("duration", "size", "summary"):
        op.drop_column("jobs", name)


def _summarise() -> None:
    jobs = sa.table("jobs", sa.column("sequence"), sa.column("state"), sa.column("summary"))
    results = sa.table(
        "job_results", sa.column("sequence"), sa.column("outputs"), sa.column("messages")
    )
    connection = op.get_bind()
    sequences = connection.execute(sa.select(results.c.sequence)).scalars().all()
    one = sa.select(jobs.c.state, results.c.outputs, results.c.messages).join_from(
        jobs, results, results.c.sequence == jobs.c.sequence
    )
    for sequence in sequences:  # one by one: they may be large
        state, outputs, messages = connection.execute(one.where(jobs.c.sequence == sequence)).one()
        result = Result(state=JobState(state), outputs=outputs.encode(), messages=messages.encode())
        connection.execute(
            sa.update(jobs)
            .where(jobs.c.sequence == sequence)
            .values(summary=JobSummary.of(result).text())
        )
