"""The rows of folders and subscriptions, and what is pending in the Maildir.

Functions over an open transaction; `mailstore.mailhome` and its parts decide what belongs into one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from mailstore import schema
from mailstore.index import contents
from mailstore.index.rows import Folder
from mailstore.prepared import Prepared

INBOX_ID = 1

_c = schema.folders.c
_p = schema.pending.c
_s = schema.subscriptions.c
_l = schema.ledger.c
_FOLDERS = select(
    _c.id, _c.name, _c.directory, _c.uidvalidity, _c.uidnext, _c.highestmodseq, _c.recent_from, _c.special_use
).where(_c.account_id == bindparam("a"))
_ALL = Prepared(_FOLDERS)
_BY_NAME = Prepared(_FOLDERS.where(_c.name == bindparam("n")))
_BY_ID = Prepared(_FOLDERS.where(_c.id == bindparam("i")))
_SET = Prepared(
    update(schema.folders)
    .where(_c.account_id == bindparam("a"), _c.id == bindparam("i"))
    .values(
        uidnext=bindparam("new_uidnext"),
        highestmodseq=bindparam("new_modseq"),
        recent_from=bindparam("new_recent"),
    )
)
_LEDGER_DELETED = Prepared(
    update(schema.ledger)
    .where(_l.account_id == bindparam("a"), _l.folder_id == bindparam("f"), _l.outcome == "stored")
    .values(outcome="deleted")
)
_SUBSCRIPTIONS = Prepared(select(_s.name).where(_s.account_id == bindparam("a")).order_by(_s.name))
_PENDING = Prepared(select(_p.id, _p.action, _p.path, _p.target).where(_p.account_id == bindparam("a")).order_by(_p.id))
_LAST_PENDING = Prepared(select(func.max(_p.id)).where(_p.account_id == bindparam("a")))
_ADD_PENDING = Prepared(insert(schema.pending))
_CLEAR_PENDING = Prepared(
    delete(schema.pending).where(
        _p.account_id == bindparam("a"),
        _p.id == bindparam("i"),
        _p.path == bindparam("p"),
        _p.target == bindparam("t"),
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
    return [FolderRow(*row) for row in _ALL.all(connection, {"a": account_id})]


def by_name(connection: Connection, account_id: int, name: str) -> FolderRow | None:
    row = _BY_NAME.first(connection, {"a": account_id, "n": name})
    return FolderRow(*row) if row else None


def by_id(connection: Connection, account_id: int, folder_id: int) -> FolderRow | None:
    row = _BY_ID.first(connection, {"a": account_id, "i": folder_id})
    return FolderRow(*row) if row else None


def save(connection: Connection, account_id: int, folder: FolderRow) -> None:
    """Write the counters back."""
    _SET.run(
        connection,
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
    """Forget a folder and all that the index has of it. The ledger remembers what a move brought there as deleted by
    the user: no later one brings it back."""
    _LEDGER_DELETED.run(connection, {"a": account_id, "f": folder_id})
    for table in (schema.messages, schema.expunged, schema.metadata, schema.looked):
        connection.execute(delete(table).where(table.c.account_id == account_id, table.c.folder_id == folder_id))
    contents.sweep(connection, account_id)
    connection.execute(delete(schema.folders).where(_c.account_id == account_id, _c.id == folder_id))


def subscriptions(connection: Connection, account_id: int) -> list[str]:
    return [name for (name,) in _SUBSCRIPTIONS.all(connection, {"a": account_id})]


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


def add_pending(connection: Connection, account_id: int, todo: Iterable[tuple[str, str, str]]) -> list[Pending]:
    """Note (action, path, target) in the transaction that decides it."""
    (highest,) = _LAST_PENDING.first(connection, {"a": account_id})
    items = [Pending(n, *each) for n, each in enumerate(todo, (highest or 0) + 1)]
    _ADD_PENDING.many(
        connection,
        [
            {"account_id": account_id, "id": item.id, "action": item.action, "path": item.path, "target": item.target}
            for item in items
        ],
    )
    return items


def all_pending(connection: Connection, account_id: int) -> list[Pending]:
    return [Pending(*row) for row in _PENDING.all(connection, {"a": account_id})]


def clear_pending(connection: Connection, account_id: int, done: Iterable[Pending]) -> None:
    """Tick off what is done. By path too: another process may have ticked it off, and the number been given anew."""
    _CLEAR_PENDING.many(
        connection, [{"a": account_id, "i": item.id, "p": item.path, "t": item.target} for item in done]
    )
