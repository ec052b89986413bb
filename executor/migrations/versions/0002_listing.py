"""What the list of jobs is filtered and ordered by: the workflow's id, and the time of creation."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("workflow_id", sa.Text))
    op.create_index("jobs_by_creation", "jobs", ["created_at", "sequence"])
    jobs = sa.table("jobs", sa.column("sequence"), sa.column("workflow_id"))
    requests = sa.table("job_requests", sa.column("sequence"), sa.column("extra_data"))
    connection = op.get_bind()
    known = connection.execute(sa.select(requests.c.sequence, requests.c.extra_data)).all()
    for sequence, extra_data in known:
        workflow_id = _workflow_id(json.loads(extra_data))
        if workflow_id is not None:
            connection.execute(
                sa.update(jobs).where(jobs.c.sequence == sequence).values(workflow_id=workflow_id)
            )


def downgrade() -> None:
    op.drop_index("jobs_by_creation", "jobs")
    op.drop_column("jobs", "workflow_id")


def _workflow_id(extra_data: Any) -> str | None:
    found = extra_data
    for key in ("extra_pnginfo", "workflow", "id"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None
