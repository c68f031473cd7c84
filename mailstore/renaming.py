"""Messages that the legacy server lists under another name than before: known again by what is in them.

A UIDL is the server's promise that a message is the same (RFC 1939 7), and servers break it: they are restored from a
backup, replaced, or rebuild their indexes. So no message is new because its name is. What a move brings is held
against the rows of the ledger that the legacy server no longer lists, by SHA-256. If one of them is the message, that
row takes over the new name and the row that was made for the name goes, whether the message is here, in another
folder, or was deleted by the user: nothing is stored twice and nothing comes back (invariant 8).

A message that came with other bytes is the same by its likeness (`mailstore.message.likeness`), but only where the old
name went when the new one came: that is what a server does that was exchanged. A copy of a message that went long ago
is a message.

Each row takes one name: of three messages of the same bytes there will be three. Functions over an open transaction,
used by `mailstore.ledger` alone, but for what is noted of a server whose names are worth nothing.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from mailstore import schema
from mailstore.index.mailbox import chunks
from mailstore.index.special import ACCOUNT

if TYPE_CHECKING:
    from mailstore.ledger import Landed

CHANGING: Final = "uidls-changing"  # an annotation of the account that no client can name: those begin with "/"
TOGETHER: Final = 24 * 3600  # seconds within which a name that went may be the one that came

_l, _n, _b = schema.ledger.c, schema.metadata.c, schema.mailboxes.c
_MINE = _l.account_id == bindparam("a")
_ANY = select(_l.id).where(_MINE, _l.unlisted.is_not(None)).limit(1)
_FORMER = (
    select(_l.id, _l.uidl, _l.shown, _l.unlisted, _l.sha256, _l.likeness)
    .where(_MINE, _l.unlisted.is_not(None), _l.outcome.in_(["stored", "deleted"]))
    .order_by(_l.id)
)
_OF_BYTES = _FORMER.where(_l.sha256.in_(bindparam("keys", expanding=True)))
_OF_LIKENESS = _FORMER.where(_l.likeness.in_(bindparam("keys", expanding=True)))
_TAKE_OVER = (
    update(schema.ledger)
    .where(_MINE, _l.id == bindparam("i"))
    .values(
        position=bindparam("new_position"),
        uidl=bindparam("new_uidl"),
        octets=bindparam("new_octets"),
        shown=bindparam("new_shown"),
        unlisted=None,
    )
)
_GO = delete(schema.ledger).where(_MINE, _l.id == bindparam("i"))
_GONE = (
    update(schema.mailboxes)
    .where(_b.account_id == bindparam("a"), _b.last_ledger_id < bindparam("i"))
    .values(last_ledger_id=bindparam("i"))
)
_NOTED = (_n.account_id == bindparam("a"), _n.folder_id == ACCOUNT, _n.entry == CHANGING)
_IS_NOTED = select(_n.entry).where(*_NOTED)
_FORGET = delete(schema.metadata).where(*_NOTED)


@dataclass(frozen=True, slots=True)
class Former:
    """An older row of a message."""

    id: int
    uidl: str
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
    values: list[Mapping[str, Any]] = []
    going: list[Mapping[str, Any]] = []
    for message, row in known:
        entry = message.entry
        values.append(
            {
                "a": account_id,
                "i": row.id,
                "new_position": entry.position,
                "new_uidl": entry.uidl,
                "new_octets": entry.octets,
                "new_shown": kept_name(row.uidl, row.shown, entry.uidl),
            }
        )
        going.append({"a": account_id, "i": entry.id})
    connection.execute(_TAKE_OVER, values)
    connection.execute(_GO, going)
    connection.execute(_GONE, {"a": account_id, "i": max(row["i"] for row in going)})


def kept_name(uidl: str, shown: str | None, now: str) -> str | None:
    """What `shown` is to be for a message that was listed as `uidl` and is listed as `now`: as it was."""
    if shown is not None:
        return None if shown == now else shown
    return None if uidl == now else uidl


def note_changing(connection: Connection, account_id: int, *, changing: bool) -> None:
    """Note that the server's names change from session to session, or that they do not."""
    noted = is_changing(connection, account_id)
    if changing and not noted:
        values = {"account_id": account_id, "folder_id": ACCOUNT, "entry": CHANGING, "value": b""}
        connection.execute(insert(schema.metadata), values)
    elif noted and not changing:
        connection.execute(_FORGET, {"a": account_id})


def is_changing(connection: Connection, account_id: int) -> bool:
    return connection.execute(_IS_NOTED, {"a": account_id}).first() is not None
