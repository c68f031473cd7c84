"""Opening a mailbox, whichever database it is in.

SQLite's are files beside the Maildirs, which are opened in whatever state they are (`mailstore.index.opening`).
PostgreSQL's are rows of an account, which are there or not.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from mailstore.index.opening import open_index
from mailstore.mailbox import Mailbox, Report
from mailstore.mailbox_database import MailboxEngine, index_path
from mailstore.postgres_mailbox import PostgresMailboxes

Mailboxes = MailboxEngine | PostgresMailboxes


def mailboxes(server: Engine | None = None) -> Mailboxes:
    """What opens mailboxes: those of a server's database, whose tables are there, or without one the files beside the
    Maildirs."""
    return MailboxEngine() if server is None else PostgresMailboxes(server)


def open_mailbox(engine: Mailboxes, account_id: int, maildir: Path, report: Report) -> Mailbox:
    """Its Maildir is there. Raises StorageFailed."""
    if isinstance(engine, PostgresMailboxes):
        return engine.open(account_id)
    return open_index(engine, index_path(maildir), report)


def is_known(engine: Mailboxes, account_id: int, maildir: Path) -> bool:
    """Has the account had a mailbox? Raises StorageFailed."""
    if isinstance(engine, PostgresMailboxes):
        return engine.knows(account_id)
    return index_path(maildir).exists()
