"""The rows of messages: UIDs, flags, modseqs.

Functions over an open transaction. A UID is given once and never again, a modseq only grows; both counters
stand in the folder's row, which the caller saves in the same transaction.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    null,
    select,
    update,
)

from mailstore import schema
from mailstore.index import contents
from mailstore.index.flagtext import from_text, to_text
from mailstore.index.folders import INBOX_ID, FolderRow
from mailstore.index.rows import DELETED, SEEN, Changes, Flagged, Flags, Row, Status
from mailstore.prepared import Bulk, Prepared
from mailstore.quota import Usage

T = TypeVar("T")

EXACT, NATIVE = "exact", "native"  # messages.line_ends

_m = schema.messages.c
_e = schema.expunged.c
_l = schema.ledger.c
_w = schema.awaited.c


def added_up(column: ColumnElement[int]) -> ColumnElement[int]:
    """Added up; PostgreSQL makes numbers of another kind of that."""
    return cast(func.coalesce(func.sum(column), 0), BigInteger)


_HERE = (_m.account_id == bindparam("a"), _m.folder_id == bindparam("f"))
_COLUMNS = (
    *(_m.uid, _m.modseq, _m.flags, _m.size, _m.internal_date, _m.uidl, _m.file, _m.save_date, _m.content_id),
    _m.line_ends == bindparam("native", NATIVE),
)
_SELECT_ROWS = select(*_COLUMNS).where(*_HERE).order_by(_m.uid)
_ROWS = Prepared(_SELECT_ROWS)
_ROWS_SPAN = Prepared(_SELECT_ROWS.where(_m.uid.between(bindparam("low"), bindparam("high"))))
_ROWS_AMONG = _SELECT_ROWS.where(_m.uid.in_(bindparam("uids", expanding=True)))
_UIDS_FLAGS = Prepared(select(_m.uid, _m.flags).where(*_HERE).order_by(_m.uid))
_MARKED = Prepared(select(_m.uid).where(*_HERE, _m.flags.contains(DELETED, autoescape=True)).order_by(_m.uid))
_UIDS_FLAGS_MODSEQS = Prepared(select(_m.uid, _m.modseq, _m.flags).where(*_HERE).order_by(_m.uid))
_CHANGED = Prepared(select(_m.uid, _m.modseq, _m.flags).where(*_HERE, _m.modseq > bindparam("since")).order_by(_m.uid))
_GONE = Prepared(
    select(_e.uid)
    .where(_e.account_id == bindparam("a"), _e.folder_id == bindparam("f"), _e.modseq > bindparam("since"))
    .order_by(_e.uid)
)
_ADDED = (
    *("account_id", "folder_id", "uid", "modseq", "flags", "size", "internal_date", "uidl", "file"),
    *("save_date", "content_id", "line_ends"),
)
_ADD = Bulk(insert(schema.messages).values({name: bindparam(name) for name in _ADDED}), _ADDED)
_SET_FLAGS = Prepared(
    update(schema.messages)
    .where(*_HERE, _m.uid == bindparam("u"))
    .values(flags=bindparam("new_flags"), modseq=bindparam("new_modseq"))
)
_DELETE = Prepared(delete(schema.messages).where(*_HERE, _m.uid == bindparam("u")))
_WAS_HERE = Prepared(select(_e.uid).where(_e.account_id == bindparam("a"), _e.file == bindparam("n")).limit(1))
_IS_HERE = Prepared(select(_m.uid).where(_m.account_id == bindparam("a"), _m.file == bindparam("n")).limit(1))
_ADD_EXPUNGED = Prepared(insert(schema.expunged))
_LEDGER_DELETED = Prepared(
    update(schema.ledger)
    .where(
        _l.account_id == bindparam("a"),
        (_l.outcome == "stored") | (_l.outcome == "listed") | (_l.outcome == "quarantined"),  # here, or not yet
        _l.folder_id == bindparam("f"),
        _l.uid == bindparam("u"),
    )
    .values(outcome="deleted", updated=bindparam("now"))
)
_UNWANTED = Prepared(
    update(schema.awaited)
    .where(_w.account_id == bindparam("a"), _w.uid == bindparam("u"))
    .values(unwanted=1, header=null())
)
_STATUS = Prepared(
    select(
        func.count(),
        added_up(_m.size),
        func.coalesce(func.sum(case((_m.uid >= bindparam("recent"), 1), else_=0)), 0),
        func.coalesce(func.sum(case((_m.flags.contains(SEEN, autoescape=True), 0), else_=1)), 0),
        func.coalesce(func.sum(case((_m.flags.contains(DELETED, autoescape=True), 1), else_=0)), 0),
        added_up(case((_m.flags.contains(DELETED, autoescape=True), _m.size), else_=0)),
    ).where(*_HERE)
)
_USAGE = Prepared(select(added_up(_m.size), func.count()).where(_m.account_id == bindparam("a")))

_CHUNK = 500  # names in one IN list


def own_uidl(uidvalidity: int, uid: int) -> str:
    """POP3's name for a message that no legacy server named: 70 octets at most, of 0x21 to 0x7E (RFC 1939 7)."""
    return f"mf{uidvalidity:x}.{uid}"


def _row(values: Sequence[Any]) -> Row:
    uid, modseq, flags, size, internal_date, uidl, file, save_date, content_id, native = values
    return Row(uid, modseq, from_text(flags), size, internal_date, uidl, file, save_date, content_id, bool(native))


def chunks(keys: Collection[T]) -> Iterator[list[T]]:
    iterator = iter(keys)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def rows(connection: Connection, account_id: int, folder_id: int, uids: Collection[int] | None = None) -> list[Row]:
    """Messages by ascending UID: all, or those of `uids` that are there."""
    if uids is None:
        return [_row(r) for r in _ROWS.all(connection, {"a": account_id, "f": folder_id})]
    return ask_for_rows(connection, account_id, folder_id, uids)()


def ask_for_rows(
    connection: Connection, account_id: int, folder_id: int, uids: Collection[int]
) -> Callable[[], list[Row]]:
    """`rows`, asked for with what is asked for next: see `Prepared.ask`."""
    if not uids:
        return list
    key: dict[str, Any] = {"a": account_id, "f": folder_id}
    wanted = uids if isinstance(uids, (set, frozenset, range)) else set(uids)
    low, high = min(wanted), max(wanted)
    if high - low < 4 * len(wanted):
        span = _ROWS_SPAN.ask(connection, key | {"low": low, "high": high})
        return lambda: [_row(r) for r in span() if r[0] in wanted]

    def among() -> list[Row]:
        some = chunks(sorted(wanted))
        return [_row(r) for chunk in some for r in connection.execute(_ROWS_AMONG, key | {"uids": chunk})]

    return among


def uids_and_flags(connection: Connection, account_id: int, folder_id: int) -> tuple[array[int], list[Flags]]:
    uids, flags = array("L"), []
    for uid, text in _UIDS_FLAGS.all(connection, {"a": account_id, "f": folder_id}):
        uids.append(uid)
        flags.append(from_text(text))
    return uids, flags


def ask_for_marked(connection: Connection, account_id: int, folder_id: int) -> Callable[[], list[int]]:
    """The UIDs of messages flagged \\Deleted, ascending, asked for as by `ask_for_rows`."""
    found = _MARKED.ask(connection, {"a": account_id, "f": folder_id})
    return lambda: [uid for (uid,) in found()]


def uids_flags_modseqs(
    connection: Connection, account_id: int, folder_id: int
) -> tuple[array[int], list[Flags], array[int]]:
    uids, flags, modseqs = array("L"), [], array("Q")
    for uid, modseq, text in _UIDS_FLAGS_MODSEQS.all(connection, {"a": account_id, "f": folder_id}):
        uids.append(uid)
        flags.append(from_text(text))
        modseqs.append(modseq)
    return uids, flags, modseqs


def vanished(connection: Connection, account_id: int, folder_id: int, since: int) -> list[int]:
    """The UIDs expunged after modseq `since`, ascending."""
    return [uid for (uid,) in _GONE.all(connection, {"a": account_id, "f": folder_id, "since": since})]


def ask_for_changes(
    connection: Connection, account_id: int, folder_id: int, since: int
) -> Callable[[FolderRow], Changes]:
    """What happened in a folder, asked for as by `ask_for_rows`; its row is looked up in the same transaction."""
    key = {"a": account_id, "f": folder_id, "since": since}
    changed, gone = _CHANGED.ask(connection, key), _GONE.ask(connection, key)

    def changes(folder: FolderRow) -> Changes:
        flagged = [Flagged(uid, modseq, from_text(text)) for uid, modseq, text in changed()]
        return Changes(folder.highestmodseq, folder.uidnext, folder.recent_from, flagged, [uid for (uid,) in gone()])

    return changes


def status(connection: Connection, account_id: int, folder: FolderRow) -> Status:
    key = {"a": account_id, "f": folder.id, "recent": folder.recent_from}
    messages, size, recent, unseen, deleted, deleted_size = _STATUS.first(connection, key)
    return Status(
        messages,
        recent,
        folder.uidnext,
        folder.uidvalidity,
        unseen,
        deleted,
        size,
        folder.highestmodseq,
        deleted_size,
    )


def usage(connection: Connection, account_id: int) -> Usage:
    """All messages of the account, whichever folder they are in."""
    octets, messages = _USAGE.first(connection, {"a": account_id})
    return Usage(octets, messages)


class NewMessage(NamedTuple):
    """What the index is told of a message whose file is in place. `uid` is given where one was held for it."""

    flags: Flags
    size: int
    internal_date: int
    file: str
    uidl: str = ""
    uid: int | None = None
    save_date: int | None = None
    content_id: int | None = None  # of a copy, what the original has
    native: bool = False


def add(connection: Connection, account_id: int, folder: FolderRow, new: Iterable[NewMessage]) -> list[int]:
    """Enter messages, in order, under one new modseq; gives back their UIDs. The caller saves the folder."""
    folder.highestmodseq += 1
    values, uids = [], []
    for message in new:
        uid = message.uid
        if uid is None:
            uid = folder.uidnext
            folder.uidnext += 1
        uids.append(uid)
        values.append(
            (
                *(account_id, folder.id, uid, folder.highestmodseq, to_text(message.flags), message.size),
                *(message.internal_date, message.uidl or own_uidl(folder.uidvalidity, uid), message.file),
                *(message.save_date, message.content_id, NATIVE if message.native else EXACT),
            )
        )
    _ADD.run(connection, values)
    return uids


def set_flags(connection: Connection, account_id: int, folder: FolderRow, changed: Sequence[tuple[int, Flags]]) -> None:
    """Give messages new flags under one new modseq. The caller saves the folder."""
    folder.highestmodseq += 1
    _SET_FLAGS.many(
        connection,
        [
            {
                "a": account_id,
                "f": folder.id,
                "u": uid,
                "new_flags": to_text(flags),
                "new_modseq": folder.highestmodseq,
            }
            for uid, flags in changed
        ],
    )


def remove(connection: Connection, account_id: int, folder: FolderRow, uids: Sequence[int], now: int) -> None:
    """Forget messages under one new modseq; the ledger remembers those that a move brought as deleted by the
    user, so that no later one brings them back (invariant 8). The caller saves the folder."""
    found = rows(connection, account_id, folder.id, uids)
    remove_rows(connection, account_id, folder, found, now)
    lost = set(uids).difference(row.uid for row in found)
    _LEDGER_DELETED.many(connection, [{"a": account_id, "f": folder.id, "u": uid, "now": now} for uid in sorted(lost)])


def remove_rows(connection: Connection, account_id: int, folder: FolderRow, found: Sequence[Row], now: int) -> None:
    """`remove`, for who has looked them up."""
    folder.highestmodseq += 1
    _DELETE.many(connection, [{"a": account_id, "f": folder.id, "u": row.uid} for row in found])
    contents.let_go(connection, account_id, {row.content_id for row in found if row.content_id is not None})
    _LEDGER_DELETED.many(connection, [{"a": account_id, "f": folder.id, "u": row.uid, "now": now} for row in found])
    if folder.id == INBOX_ID:
        _UNWANTED.many(connection, [{"a": account_id, "u": row.uid} for row in found if row.away])
    _ADD_EXPUNGED.many(
        connection,
        [
            {
                "account_id": account_id,
                "folder_id": folder.id,
                "uid": row.uid,
                "modseq": folder.highestmodseq,
                "file": row.file,
            }
            for row in found
        ],
    )


def was_here(connection: Connection, account_id: int, file: str) -> bool:
    """Is, or was, there a message of this unique name in any folder?"""
    key = {"a": account_id, "n": file}
    return _IS_HERE.first(connection, key) is not None or _WAS_HERE.first(connection, key) is not None
