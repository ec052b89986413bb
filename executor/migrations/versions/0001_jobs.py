"""The first form of the job database."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("prompt_id", sa.Text, nullable=False),
        sa.Column("number", sa.Double, nullable=False),
        sa.Column("number_is_automatic", sa.Boolean, nullable=False),
        sa.Column("client_id", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.BigInteger),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("worker", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("place", sa.BigInteger),
    )
    op.create_index("jobs_by_state", "jobs", ["state", "number", "prompt_id", "sequence"])
    op.create_index("jobs_by_prompt_id", "jobs", ["prompt_id"])
    op.create_index("jobs_by_place", "jobs", ["place"])
    op.create_table(
        "job_requests",
        _sequence(),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("extra_data", sa.Text, nullable=False),
        sa.Column("outputs_to_execute", sa.Text, nullable=False),
    )
    op.create_table(
        "job_results",
        _sequence(),
        sa.Column("outputs", sa.Text, nullable=False),
        sa.Column("meta", sa.Text, nullable=False),
        sa.Column("messages", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("job_results")
    op.drop_table("job_requests")
    op.drop_table("jobs")


def _sequence() -> sa.Column[int]:
    return sa.Column(
        "sequence",
        sa.BigInteger,
        sa.ForeignKey("jobs.sequence", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
