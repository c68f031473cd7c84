"""The tree of Maildirs, for commands that look at it without the daemon, and change nothing of the accounts."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailstore.mooring import Mooring
    from proxy.config import Config


def mooring_of(config: Config) -> Mooring:
    """What tells whether the disk with the Maildirs is there."""
    from mailstore.mooring import Mooring  # noqa: PLC0415 - SQLAlchemy takes a third of a second

    return Mooring(config.state, config.maildir_root, config.maildir_layout, lambda: _has_mail(config))


def _has_mail(config: Config) -> bool:
    """Has any account had mail carried over? A database that cannot be asked is told of elsewhere."""
    from mailstore.copying import read_only  # noqa: PLC0415

    try:
        with closing(read_only(config.accounts_file)) as connection:
            return connection.execute("SELECT 1 FROM accounts WHERE messages_done > 0 LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return False
