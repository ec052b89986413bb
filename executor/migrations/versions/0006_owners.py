"""Jobs belong to whoever submitted them, where API keys are in use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_INDEXES = {
    "jobs_by_owner": ["owner", "created_at", "sequence", "state", "workflow_id"],
    "jobs_by_owner_and_place": ["owner", "place", "state"],
}


def upgrade() -> None:
    op.add_column("jobs", sa.Column("owner", sa.Text))
    has_owner = sa.text("owner IS NOT NULL")
    for name, columns in _INDEXES.items():
        op.create_index(name, "jobs", columns, sqlite_where=has_owner, postgresql_where=has_owner)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name, "jobs")
    op.drop_column("jobs", "owner")
