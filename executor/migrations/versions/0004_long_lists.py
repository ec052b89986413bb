"""Pages of long lists are found in indexes alone: these have the state as well."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _replace({"jobs_by_place": ["place", "state"]})
    _replace({"jobs_by_creation": ["created_at", "sequence", "state"]})


def downgrade() -> None:
    _replace({"jobs_by_place": ["place"]})
    _replace({"jobs_by_creation": ["created_at", "sequence"]})


def _replace(indexes: dict[str, list[str]]) -> None:
    for name, columns in indexes.items():
        op.drop_index(name, "jobs")
        op.create_index(name, "jobs", columns)
