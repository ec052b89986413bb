"""Runs the migrations of the job database. Imported only when one is due."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from executor.schema import VERSION_TABLE, metadata


def upgrade(connection: sa.Connection, revision: str = "head") -> None:
    """Migrate the database behind the connection, in the caller's transaction."""
    command.upgrade(configuration(connection), revision)


def configuration(connection: sa.Connection | None = None) -> Config:
    """Alembic's configuration, without an alembic.ini."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    config.attributes["metadata"] = metadata
    config.attributes["version_table"] = VERSION_TABLE
    return config
