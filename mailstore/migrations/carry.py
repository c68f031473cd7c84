"""Carry an old database forward to today's tables. Imported only when one is met."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData

from mailstore.errors import StorageFailed
from mailstore.schema import accounts_metadata, mailbox_metadata

_SCOPES: Final = {accounts_metadata: "accounts", mailbox_metadata: "mailbox"}


def configuration(connection: Connection, metadata: MetaData | None) -> Config:
    """Alembic's settings for one open database; `scope` tells the revisions which group of tables it holds. None: both
    groups, as in PostgreSQL."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["scope"] = "all" if metadata is None else _SCOPES[metadata]
    return config


def carry_forward(connection: Connection, metadata: MetaData | None) -> None:
    """Upgrade inside the open transaction. Raises StorageFailed for a file from a later version of mailferry."""
    try:
        command.upgrade(configuration(connection, metadata), "head")
    except CommandError as error:
        raise StorageFailed(f"the database is of another version of mailferry: {error}") from error
