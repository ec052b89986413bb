"""Each id belongs to one job: of several, the one that is nearest to running keeps it."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Nothing is lost: the others get their sequence behind the id.
_RENAME = """
    UPDATE jobs SET prompt_id = prompt_id || '-' || CAST(sequence AS VARCHAR(20))
    WHERE sequence NOT IN (
        SELECT ranked.sequence FROM (
            SELECT sequence, ROW_NUMBER() OVER (
                PARTITION BY prompt_id
                ORDER BY CASE state WHEN 'running' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END,
                    sequence DESC
            ) AS place FROM jobs
        ) AS ranked WHERE ranked.place = 1
    )
"""


def upgrade() -> None:
    op.execute(_RENAME)
    op.drop_index("jobs_by_prompt_id", "jobs")
    op.create_index("jobs_by_prompt_id", "jobs", ["prompt_id"], unique=True)


def downgrade() -> None:
    op.drop_index("jobs_by_prompt_id", "jobs")
    op.create_index("jobs_by_prompt_id", "jobs", ["prompt_id"])
