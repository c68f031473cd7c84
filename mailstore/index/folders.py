"""The rows of folders and subscriptions, and what is pending in the Maildir.

Functions over an open transaction; `mailstore.mailhome` decides what belongs into one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from mailstore import schema
from mailstore.index import contents
from mailstore.index.rows import Folder

INBOX_ID = 1

_c = schema.folders.c
_ALL = select(
    _c.id, _c.name, _c.directory, _c.uidvalidity, _c.uidnext, _c.highestmodseq, _c.recent_from, _c.special_use
).where(_c.account_id == bindparam("a"))
_BY_NAME = _ALL.where(_c.name == bindparam("n"))
_BY_ID = _ALL.where(_c.id == bindparam("i"))
_SET = (
    update(schema.folders)
    .where(_c.account_id == bindparam("a"), _c.id == bindparam("i"))
    .values(
        uidnext=bindparam("new_uidnext"),
        highestmodseq=bindparam("new_modseq"),
        recent_from=bindparam("new_recent"),
    )
)


@dataclass(slots=True)
class FolderRow:
    """A folder with its counters. Changed in place and written back by `save`."""

    id: int
    name: str
    directory: str
    uidvalidity: int
    uidnext: int
    highestmodseq: int
    recent_from: int
    special_use: str = ""

    def value(self) -> Folder:
        return Folder(self.id, self.name, self.uidvalidity, tuple(self.special_use.split()))


def every(connection: Connection, account_id: int) -> list[FolderRow]:
    return [FolderRow(*row) for row in connection.execute(_ALL, {"a": account_id})]


def by_name(connection: Connection, account_id: int, name: str) -> FolderRow | None:
    row = connection.execute(_BY_NAME, {"a": account_id, "n": name}).first()
    return FolderRow(*row) if row else None


def by_id(connection: Connection, account_id: int, folder_id: int) -> FolderRow | None:
    row = connection.execute(_BY_ID, {"a": account_id, "i": folder_id}).first()
    return FolderRow(*row) if row else None


def save(connection: Connection, account_id: int, folder: FolderRow) -> None:
    """Write the counters back."""
    connection.execute(
        _SET,
        {
            "a": account_id,
            "i": folder.id,
            "new_uidnext": folder.uidnext,
            "new_modseq": folder.highestmodseq,
            "new_recent": folder.recent_from,
        },
    )


def add(
    connection: Connection, account_id: int, name: str, directory: str, now: int, *, folder_id: int | None = None
) -> FolderRow:
    """A new folder, with an id that is given only where an index is made anew. UIDVALIDITY grows with each one made,
    so that a name that comes back is a new folder to clients (RFC 3501 2.3.1.1)."""
    mailbox = schema.mailboxes
    row = connection.execute(
        select(mailbox.c.last_uidvalidity, mailbox.c.last_folder_id).where(mailbox.c.account_id == account_id)
    ).one()
    uidvalidity, folder_id = max(now, row[0] + 1), folder_id or row[1] + 1
    connection.execute(
        update(mailbox).where(mailbox.c.account_id == account_id),
        {"last_uidvalidity": uidvalidity, "last_folder_id": max(folder_id, row[1])},
    )
    folder = FolderRow(folder_id, name, directory, uidvalidity, 1, 1, 1)
    connection.execute(
        insert(schema.folders),
        {
            "account_id": account_id,
            "id": folder.id,
            "name": name,
            "directory": directory,
            "uidvalidity": uidvalidity,
            "uidnext": 1,
            "highestmodseq": 1,
            "recent_from": 1,
        },
    )
    return folder


def rename(connection: Connection, account_id: int, folder_id: int, name: str, directory: str) -> None:
    connection.execute(
        update(schema.folders).where(_c.account_id == account_id, _c.id == folder_id),
        {"name": name, "directory": directory},
    )


def set_special_use(connection: Connection, account_id: int, folder_id: int, uses: Iterable[str]) -> None:
    connection.execute(
        update(schema.folders).where(_c.account_id == account_id, _c.id == folder_id),
        {"special_use": " ".join(sorted(uses))},
    )


def drop(connection: Connection, account_id: int, folder_id: int) -> None:
    """Forget a folder and all that the index has of it."""
    for table in (schema.messages, schema.expunged, schema.metadata, schema.looked):
        connection.execute(delete(table).where(table.c.account_id == account_id, table.c.folder_id == folder_id))
    contents.sweep(connection, account_id)
    connection.execute(delete(schema.folders).where(_c.account_id == account_id, _c.id == folder_id))


def subscriptions(connection: Connection, account_id: int) -> list[str]:
    table = schema.subscriptions
    statement = select(table.c.name).where(table.c.account_id == account_id).order_by(table.c.name)
    return list(connection.scalars(statement))


def subscribe(connection: Connection, account_id: int, name: str) -> None:
    if name not in subscriptions(connection, account_id):
        connection.execute(insert(schema.subscriptions), {"account_id": account_id, "name": name})


def unsubscribe(connection: Connection, account_id: int, name: str) -> None:
    table = schema.subscriptions
    connection.execute(delete(table).where(table.c.account_id == account_id, table.c.name == name))


@dataclass(frozen=True, slots=True)
class Pending:
    """One thing still to be done in the Maildir: see `schema.pending`."""

    id: int
    action: str
    path: str
    target: str


def add_pending(connection: Connection, account_id: int, todo: Iterable[tuple[str, str, str]]) -> None:
    """Note (action, path, target) in the transaction that decides it."""
    table = schema.pending
    highest = connection.scalar(select(func.max(table.c.id)).where(table.c.account_id == account_id)) or 0
    rows: list[dict[str, Any]] = [
        {"account_id": account_id, "id": highest + n, "action": action, "path": path, "target": target}
        for n, (action, path, target) in enumerate(todo, 1)
    ]
    if rows:
        connection.execute(insert(table), rows)


def all_pending(connection: Connection, account_id: int) -> list[Pending]:
    table = schema.pending
    statement = select(table.c.id, table.c.action, table.c.path, table.c.target)
    statement = statement.where(table.c.account_id == account_id).order_by(table.c.id)
    return [Pending(*row) for row in connection.execute(statement)]


def clear_pending(connection: Connection, account_id: int, up_to: int) -> None:
    table = schema.pending
    connection.execute(delete(table).where(table.c.account_id == account_id, table.c.id <= up_to))
