"""Files belong to whoever uploaded them or had them made, where API keys are in use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "file_owners",
        sa.Column("folder", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("modified", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("file_owners")
