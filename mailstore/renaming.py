"""Messages that the legacy server lists under another name than before: known again by what is in them.

A UIDL is the server's promise that a message is the same (RFC 1939 7), and servers break it: they are restored from a
backup, replaced, or rebuild their indexes. So no message is new because its name is. What a move brings is held
against the rows of the ledger that the legacy server no longer lists, by SHA-256. If one of them is the message, that
row takes over the new name and the row that was made for the name goes, whether the message is here, in another
folder, or was deleted by the user: nothing is stored twice and nothing comes back (invariant 8).

A message that came with other bytes is the same by its likeness (`mailstore.message.likeness`), but only where the old
name went when the new one came: that is what a server does that was exchanged. A copy of a message that went long ago
is a message.

Each row takes one name: of three messages of the same bytes there will be three. The functions are over an open
transaction, and used by `mailstore.ledger` alone; `Names` is what a move asks.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, null, select, update

from mailstore import schema
from mailstore.index.mailbox import chunks
from mailstore.index.special import ACCOUNT
from mailstore.mailbox import Mailbox
from mailstore.message.likeness import MARK
from mailstore.prepared import Prepared

if TYPE_CHECKING:
    from mailstore.entries import Landed

CHANGING: Final = "uidls-changing"  # an annotation of the account that no client can name: those begin with "/"
FEW_RENAMED: Final = 3  # messages that may get another name without anything being wrong with the others
AT_ONCE: Final = 5_000  # rows that are handed to the database together: as parameters they take much memory
TOGETHER: Final = 24 * 3600  # seconds within which a name that went may be the one that came

_l, _n, _b = schema.ledger.c, schema.metadata.c, schema.mailboxes.c
_MINE = _l.account_id == bindparam("a")
_ANY = select(_l.id).where(_MINE, _l.unlisted.is_not(None)).limit(1)
_FORMER = (
    select(_l.id, _l.uidl, _l.octets, _l.shown, _l.unlisted, _l.sha256, _l.likeness)
    .where(_MINE, _l.unlisted.is_not(None), _l.outcome.in_(["stored", "deleted"]))
    .order_by(_l.id)
)
_OF_BYTES = _FORMER.where(_l.sha256.in_(bindparam("keys", expanding=True)))
_OF_LIKENESS = _FORMER.where(_l.likeness.in_(bindparam("keys", expanding=True)))
_RELIST = Prepared(
    update(schema.ledger)
    .where(_MINE, _l.id == bindparam("i"))
    .values(
        position=bindparam("new_position"),
        uidl=bindparam("new_uidl"),
        octets=bindparam("new_octets"),
        shown=bindparam("new_shown"),
        folder=bindparam("new_folder"),
        legacy_id=bindparam("new_legacy_id"),
        unlisted=null(),
    )
)
_UNLIST = Prepared(update(schema.ledger).where(_MINE, _l.id == bindparam("i")).values(unlisted=bindparam("now")))
_GO = Prepared(delete(schema.ledger).where(_MINE, _l.id == bindparam("i")))
_GONE = (
    update(schema.mailboxes)
    .where(_b.account_id == bindparam("a"), _b.last_ledger_id < bindparam("i"))
    .values(last_ledger_id=bindparam("i"))
)
_NOTED = (_n.account_id == bindparam("a"), _n.folder_id == ACCOUNT, _n.entry == CHANGING)
_IS_NOTED = Prepared(select(_n.entry).where(*_NOTED))
_FORGET = delete(schema.metadata).where(*_NOTED)
_LISTED = select(func.count()).where(_MINE, _l.outcome.in_(["stored", "deleted"]), _l.unlisted.is_(None))
_MARKS = select(_l.id, _l.likeness).where(_MINE, _l.likeness.is_not(None))
_BYTES = select(_l.sha256, _l.likeness).where(_MINE, _l.id == bindparam("i"))
_OF_DIGESTS = select(_l.id).where(_MINE, _l.sha256.in_(bindparam("digests", expanding=True))).limit(1)


@dataclass(frozen=True, slots=True)
class Relisted:
    """How a message that is known is listed now: see `mailstore.entries.Entry`. Which folder has it here stays."""

    id: int
    position: int
    uidl: str
    octets: int
    shown: str | None
    folder: str = ""
    legacy_id: str = ""


@dataclass(frozen=True, slots=True)
class Former:
    """An older row of a message."""

    id: int
    uidl: str
    octets: int
    shown: str | None
    unlisted: int
    sha256: bytes
    likeness: bytes | None


def former(connection: Connection, account_id: int, landed: Sequence[Landed]) -> list[tuple[Landed, Former]]:
    """Those that an older row, which is not listed any more, is the row of. Each row once."""
    if not landed or connection.execute(_ANY, {"a": account_id}).first() is None:
        return []
    taken: set[int] = set()
    found = _among(connection, account_id, landed, _OF_BYTES, lambda row: row.sha256, lambda m: m.sha256, taken)
    known = {message.entry.id for message, _ in found}
    rest = [message for message in landed if message.entry.id not in known and message.likeness is not None]
    alike = _among(connection, account_id, rest, _OF_LIKENESS, lambda row: row.likeness, lambda m: m.likeness, taken)
    return found + alike


def _among(
    connection: Connection,
    account_id: int,
    landed: Sequence[Landed],
    statement: Select[Any],
    key_of_row: Callable[[Former], bytes | None],
    key_of: Callable[[Landed], bytes | None],
    taken: set[int],
) -> list[tuple[Landed, Former]]:
    rows: defaultdict[bytes | None, deque[Former]] = defaultdict(deque)
    keys = {key for message in landed if (key := key_of(message)) is not None}
    for chunk in chunks(keys):
        for values in connection.execute(statement, {"a": account_id, "keys": chunk}):
            row = Former(*values)
            if row.id not in taken:
                rows[key_of_row(row)].append(row)
    found = []
    for message in landed:
        same = rows.get(key_of(message))
        if same and (same[0].sha256 == message.sha256 or same[0].unlisted >= message.entry.updated - TOGETHER):
            row = same.popleft()
            taken.add(row.id)
            found.append((message, row))
    return found


def carry(connection: Connection, account_id: int, known: Iterable[tuple[Landed, Former]]) -> None:
    """The older rows take over how the messages are listed now, and those that were made for it go. Their numbers stand
    in the names of files that are still to be removed: no other row gets them."""
    taking, going = [], []
    for message, row in known:
        entry = message.entry
        shown = kept_name(row.uidl, row.shown, entry.uidl)
        relisted = Relisted(row.id, entry.position, entry.uidl, entry.octets, shown, entry.folder, entry.legacy_id)
        taking.append(relisted)
        going.append({"a": account_id, "i": entry.id})
    relist(connection, account_id, taking)
    _GO.many(connection, going)
    connection.execute(_GONE, {"a": account_id, "i": max(row["i"] for row in going)})


def kept_name(uidl: str, shown: str | None, now: str) -> str | None:
    """What `shown` is to be for a message that was listed as `uidl` and is listed as `now`: as it was."""
    if shown is not None:
        return None if shown == now else shown
    return None if uidl == now else uidl


def relist(connection: Connection, account_id: int, relisted: Iterable[Relisted]) -> None:
    """Write down how messages that are known are listed now."""
    rows = iter(relisted)
    while some := list(islice(rows, AT_ONCE)):
        values = [
            {
                "a": account_id,
                "i": row.id,
                "new_position": row.position,
                "new_uidl": row.uidl,
                "new_octets": row.octets,
                "new_shown": row.shown,
                "new_folder": row.folder,
                "new_legacy_id": row.legacy_id,
            }
            for row in some
        ]
        _RELIST.many(connection, values)


def unlist(connection: Connection, account_id: int, ids: Iterable[int], now: int) -> None:
    """Write down that messages are no longer listed."""
    rows = iter(ids)
    while some := list(islice(rows, AT_ONCE)):
        _UNLIST.many(connection, [{"a": account_id, "i": row, "now": now} for row in some])


class Names:
    """What is known of an account's messages when the legacy server's names say nothing. Every method is one
    transaction; one thread at a time, as the home it belongs to."""

    def __init__(self, database: Mailbox, account_id: int) -> None:
        self._database = database
        self._account_id = account_id

    def marks(self) -> dict[int, bytes]:
        """What the headers of messages that are here, or were, say (`mailstore.message.likeness`), by ledger row."""
        with self._database.read() as connection:
            return {row: likeness[:MARK] for row, likeness in connection.execute(_MARKS, {"a": self._account_id})}

    def alike(self, row: int, sha256: bytes, likeness: bytes | None) -> bool | None:
        """Are these the bytes that came for the row, or at least the same message? None: nobody knows what came."""
        with self._database.read() as connection:
            had = connection.execute(_BYTES, {"a": self._account_id, "i": row}).one()
        if had[0] is None:
            return None
        return had[0] == sha256 or (likeness is not None and had[1] == likeness)

    def any_of(self, digests: Collection[bytes]) -> bool:
        """Is there, or was there, a message of any of these SHA-256? Looks at every row."""
        with self._database.read() as connection:
            key = {"a": self._account_id, "digests": list(digests)}
            return connection.execute(_OF_DIGESTS, key).first() is not None

    def changing(self) -> bool:
        """Is it noted that they change from session to session?"""
        with self._database.read() as connection:
            return _IS_NOTED.first(connection, {"a": self._account_id}) is not None

    def note_changing(self, *, changing: bool) -> None:
        if changing == self.changing():
            return
        with self._database.write() as connection:
            if changing:
                values = {"account_id": self._account_id, "folder_id": ACCOUNT, "entry": CHANGING, "value": b""}
                connection.execute(insert(schema.metadata), values)
            else:
                connection.execute(_FORGET, {"a": self._account_id})

    def conclude(self, renamed: int) -> None:
        """A move is done, which found so many messages under other names than before. Where that is most of them it is
        noted: if it happens again, their names mean nothing."""
        if renamed >= FEW_RENAMED:
            with self._database.read() as connection:
                listed = connection.scalar(_LISTED, {"a": self._account_id}) or 0
            if 2 * renamed >= listed:
                self.note_changing(changing=True)
