"""The rows of messages that are listed in INBOX and not here yet (`login = "serve"`).

Such a message has its row in `messages` like any other, with its final UID, size and UIDL, so that counting,
numbering, flags and removal are as usual; it has no file. Its row in `awaited` says which ledger row it belongs to,
and keeps its header once that is here. When the message has arrived, `arrived` gives its row the file, and the row in
`awaited` goes. A message that the user removes meanwhile leaves an `unwanted` row, which goes at the end of the move:
what still arrives of it is thrown away (invariant 8).

Functions over an open transaction.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Text, bindparam, case, cast, delete, func, insert, literal, select, update

from mailstore import schema
from mailstore.index.flagtext import from_text, to_text
from mailstore.index.folders import INBOX_ID, FolderRow
from mailstore.index.mailbox import EXACT, chunks, own_uidl
from mailstore.index.rows import NO_DATE, Flags
from mailstore.prepared import Prepared

_w, _m, _l, _b = schema.awaited.c, schema.messages.c, schema.ledger.c, schema.mailboxes.c

_OWED: Final = (_l.outcome == "listed") | (_l.outcome == "quarantined")
_ANY = Prepared(select(_w.uid).where(_w.account_id == bindparam("a"), _w.unwanted == 0).limit(1))
_ANY_AT_ALL = Prepared(select(_w.uid).where(_w.account_id == bindparam("a")).limit(1))
_LOWEST = Prepared(select(func.min(_w.uid)).where(_w.account_id == bindparam("a"), _w.unwanted == 0))
_CONCERNS = Prepared(
    select(_w.unwanted).where(_w.account_id == bindparam("a"), _w.ledger_id == bindparam("i"), _w.unwanted == 1)
)
_UNWANTED = Prepared(select(_w.ledger_id).where(_w.account_id == bindparam("a"), _w.unwanted == 1))
_OF_ACCOUNT = (
    select(_w.uid, _w.header, _l.outcome, _l.octets)
    .join_from(schema.awaited, schema.ledger, (_l.account_id == _w.account_id) & (_l.id == _w.ledger_id))
    .where(_w.account_id == bindparam("a"), _w.unwanted == 0)
)
_SPAN = Prepared(_OF_ACCOUNT.where(_w.uid.between(bindparam("low"), bindparam("high"))))
_AMONG = _OF_ACCOUNT.where(_w.uid.in_(bindparam("uids", expanding=True)))
_OF_LEDGER = (
    select(_w.ledger_id, _w.uid, _w.touched, _w.unwanted, _w.header.is_not(None), _m.flags, _m.size)
    .join_from(
        schema.awaited,
        schema.messages,
        (_m.account_id == _w.account_id) & (_m.folder_id == INBOX_ID) & (_m.uid == _w.uid),
        isouter=True,
    )
    .where(_w.account_id == bindparam("a"), _w.ledger_id.in_(bindparam("ids", expanding=True)))
)
_EVERY = Prepared(
    select(_w.uid, _w.ledger_id, _w.header.is_not(None)).where(_w.account_id == bindparam("a"), _w.unwanted == 0)
)
_TOUCH = Prepared(
    update(schema.awaited).where(_w.account_id == bindparam("a"), _w.uid == bindparam("u")).values(touched=1)
)
_KEEP_HEADER = Prepared(
    update(schema.awaited)
    .where(_w.account_id == bindparam("a"), _w.uid == bindparam("u"))
    .values(header=bindparam("packed"))
)
_HERE = (_m.account_id == bindparam("a"), _m.folder_id == INBOX_ID, _m.uid == bindparam("u"))
_DATE = Prepared(update(schema.messages).where(*_HERE).values(internal_date=bindparam("date")))
_DATE_AT_LAST = Prepared(
    update(schema.messages).where(*_HERE, _m.internal_date == NO_DATE).values(internal_date=bindparam("date"))
)
_GIVE_FILE = Prepared(update(schema.messages).where(*_HERE).values(file=bindparam("name"), size=bindparam("octets")))
_DROP = Prepared(delete(schema.awaited).where(_w.account_id == bindparam("a"), _w.uid == bindparam("u")))
_DROP_UNWANTED = Prepared(delete(schema.awaited).where(_w.account_id == bindparam("a"), _w.unwanted == 1))
_IS_LISTED = Prepared(select(_b.listed).where(_b.account_id == bindparam("a")))
_LIST = Prepared(update(schema.mailboxes).where(_b.account_id == bindparam("a")).values(listed=1))
_UNNUMBERED = Prepared(
    select(_l.id)
    .where(_l.account_id == bindparam("a"), _l.folder_id == INBOX_ID, _OWED, _l.uid.is_(None))
    .order_by(_l.id)
)
_NUMBER = Prepared(
    update(schema.ledger).where(_l.account_id == bindparam("a"), _l.id == bindparam("i")).values(uid=bindparam("new"))
)
_AGAIN = Prepared(
    update(schema.ledger)
    .where(_l.account_id == bindparam("a"), _l.id == bindparam("i"), _l.outcome == "gone")
    .values(outcome="listed", reason="")
)


@dataclass(frozen=True, slots=True)
class Away:
    """A message that is listed and not here yet."""

    uid: int
    packed: bytes | None
    given_up: bool  # is it in quarantine?
    octets: int  # as the legacy server lists it

    @property
    def header(self) -> bytes | None:
        """Its header with the blank line, None where that is not here either."""
        return None if self.packed is None else zlib.decompress(self.packed)


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of the place that is kept for a message. `flags` and `size` are None where it is `unwanted`."""

    uid: int
    touched: bool
    unwanted: bool
    has_header: bool
    flags: Flags | None
    size: int | None


@dataclass(frozen=True, slots=True)
class Noted:
    """A header that has come, for the ledger row `ledger_id`, and what it says."""

    ledger_id: int
    header: bytes
    internal_date: int
    flags: Flags


def is_listed(connection: Connection, account_id: int) -> bool:
    """Is the whole old mailbox listed?"""
    row = _IS_LISTED.first(connection, {"a": account_id})
    return row is not None and bool(row[0])


def show(
    connection: Connection, account_id: int, inbox: FolderRow, flags: Flags, now: int, again: Iterable[int] = ()
) -> None:
    """List whatever is owed and not listed yet, under one new modseq. The ledger's rows hold the UIDs; those that hold
    none get the next. `again`: ledger rows that are listed once more by the legacy server after they had vanished.
    The caller saves the folder."""
    _AGAIN.many(connection, [{"a": account_id, "i": each} for each in again])
    unnumbered = [row[0] for row in _UNNUMBERED.all(connection, {"a": account_id})]
    _NUMBER.many(
        connection, [{"a": account_id, "i": each, "new": inbox.uidnext + n} for n, each in enumerate(unnumbered)]
    )
    inbox.uidnext += len(unnumbered)
    inbox.highestmodseq += 1
    known = select(_w.ledger_id).where(_w.account_id == account_id)
    owed = (_l.account_id == account_id, _l.folder_id == INBOX_ID, _OWED, _l.uid.is_not(None), _l.id.not_in(known))
    prefix = own_uidl(inbox.uidvalidity, 0)[:-1]
    name = func.coalesce(_l.shown, _l.uidl)
    uidl = case((name == "", literal(prefix) + cast(_l.uid, Text)), else_=name)
    columns: list[tuple[str, Any]] = [
        ("account_id", _l.account_id),
        ("folder_id", literal(INBOX_ID)),
        ("uid", _l.uid),
        ("modseq", literal(inbox.highestmodseq)),
        ("flags", literal(to_text(flags))),
        ("size", _l.octets),
        ("internal_date", literal(NO_DATE)),
        ("uidl", uidl),
        ("file", literal("")),
        ("save_date", literal(now)),
        ("line_ends", literal(EXACT)),
    ]
    names = [name for name, _ in columns]
    connection.execute(
        insert(schema.messages).from_select(names, select(*(value.label(name) for name, value in columns)).where(*owed))
    )
    connection.execute(
        insert(schema.awaited).from_select(
            ["account_id", "uid", "ledger_id"], select(_l.account_id, _l.uid, _l.id).where(*owed)
        )
    )
    _LIST.run(connection, {"a": account_id})


def lowest(connection: Connection, account_id: int) -> int | None:
    """The lowest UID of those that are away."""
    uid: int | None = _LOWEST.first(connection, {"a": account_id})[0]
    return uid


def away(connection: Connection, account_id: int, uids: Collection[int]) -> dict[int, Away]:
    """Those of these messages of INBOX that are not here, by UID. Where nothing is awaited it costs one look."""
    key: dict[str, Any] = {"a": account_id}
    if not uids or _ANY.first(connection, key) is None:
        return {}
    wanted = uids if isinstance(uids, (set, frozenset, range)) else set(uids)
    low, high = min(wanted), max(wanted)
    if high - low < 4 * len(wanted):
        found = [row for row in _SPAN.all(connection, key | {"low": low, "high": high}) if row[0] in wanted]
    else:
        found = [tuple(r) for some in chunks(sorted(wanted)) for r in connection.execute(_AMONG, key | {"uids": some})]
    return {uid: Away(uid, packed, outcome == "quarantined", octets) for uid, packed, outcome, octets in found}


def places(connection: Connection, account_id: int, ledger_ids: Collection[int]) -> dict[int, Place]:
    """The places that are kept for these ledger rows, by row."""
    found: dict[int, Place] = {}
    if not ledger_ids or _ANY_AT_ALL.first(connection, {"a": account_id}) is None:
        return found
    for some in chunks(ledger_ids):
        for i, uid, touched, unwanted, has_header, flags, size in connection.execute(
            _OF_LEDGER, {"a": account_id, "ids": some}
        ):
            value = None if flags is None else from_text(flags)
            found[i] = Place(uid, bool(touched), bool(unwanted), bool(has_header), value, size)
    return found


def concerns(connection: Connection, account_id: int, ledger_id: int) -> bool:
    """Was the message of this ledger row removed by the user before it was here?"""
    return _CONCERNS.first(connection, {"a": account_id, "i": ledger_id}) is not None


def unwanted(connection: Connection, account_id: int) -> list[int]:
    """The ledger rows of those that were removed before they were here."""
    return [row[0] for row in _UNWANTED.all(connection, {"a": account_id})]


def every(connection: Connection, account_id: int) -> list[tuple[int, int, bool]]:
    """All that are away: UID, ledger row, and whether the header is here."""
    return [(uid, ledger_id, bool(known)) for uid, ledger_id, known in _EVERY.all(connection, {"a": account_id})]


def touch(connection: Connection, account_id: int, uids: Iterable[int]) -> None:
    """The user has changed the flags of these: what their headers say of flags counts no more."""
    _TOUCH.many(connection, [{"a": account_id, "u": uid} for uid in uids])


def keep_headers(connection: Connection, account_id: int, noted: Sequence[tuple[int, Noted]]) -> None:
    """Keep headers, by UID, and the dates that they tell."""
    packed = [{"a": account_id, "u": uid, "packed": zlib.compress(each.header, 1)} for uid, each in noted]
    _KEEP_HEADER.many(connection, packed)
    _DATE.many(connection, [{"a": account_id, "u": uid, "date": each.internal_date} for uid, each in noted])


def date_at_last(connection: Connection, account_id: int, uids: Iterable[int], date: int) -> None:
    """Give a date to those that have none, and will get none by themselves."""
    _DATE_AT_LAST.many(connection, [{"a": account_id, "u": uid, "date": date} for uid in uids])


def arrived(connection: Connection, account_id: int, files: Sequence[tuple[int, str, int, int | None]]) -> None:
    """These are here: (UID, unique name, octets, internal date or None where that is known already)."""
    _GIVE_FILE.many(connection, [{"a": account_id, "u": u, "name": name, "octets": n} for u, name, n, _ in files])
    _DATE.many(connection, [{"a": account_id, "u": u, "date": date} for u, _, _, date in files if date is not None])
    drop(connection, account_id, [uid for uid, *_ in files])


def drop(connection: Connection, account_id: int, uids: Iterable[int]) -> None:
    """Await these no more."""
    _DROP.many(connection, [{"a": account_id, "u": uid} for uid in uids])


def drop_unwanted(connection: Connection, account_id: int) -> None:
    """The move is over: nothing of them can arrive any more."""
    _DROP_UNWANTED.run(connection, {"a": account_id})
