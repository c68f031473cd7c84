"""Opening a mailbox, whichever database it is in.

SQLite's are files beside the Maildirs, which are opened in whatever state they are (`mailstore.index.opening`).
PostgreSQL's are rows of an account, which are there or not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine

from mailstore.errors import MaildirGone
from mailstore.index.opening import open_index
from mailstore.mailbox import Mailbox, Report
from mailstore.mailbox_database import MailboxEngine, index_path
from mailstore.onlooking import look
from mailstore.postgres_mailbox import PostgresMailboxes

T = TypeVar("T")

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


def forget(engine: Mailboxes, account_id: int) -> None:
    """Have nothing left in the database of a mailbox whose Maildir goes, with what is beside it. Raises
    StorageFailed."""
    if isinstance(engine, PostgresMailboxes):
        engine.forget(account_id)


def is_known(engine: Mailboxes, account_id: int, maildir: Path) -> bool:
    """Has the account had a mailbox? Asked where its Maildir is not there, or not whole. Raises MaildirGone where an
    index that did not go with it says that there is to be mail in it; StorageFailed."""
    if isinstance(engine, PostgresMailboxes):
        if not maildir.is_dir() and engine.has_mail(account_id):
            raise MaildirGone
        return engine.knows(account_id)
    return index_path(maildir).exists()


def onlook(engine: Mailboxes, account_id: int, maildir: Path, read: Callable[[Connection], T]) -> T:
    """What `read` makes of the index, in one transaction: for somebody who only looks, and changes nothing. It may be
    called again: it has no effects. Raises FileNotFoundError where there is no index; StorageCorrupt, StorageFailed."""
    if isinstance(engine, PostgresMailboxes):
        if not engine.knows(account_id):
            raise FileNotFoundError
        with engine.open(account_id).read() as connection:
            return read(connection)
    return look(index_path(maildir), read)
