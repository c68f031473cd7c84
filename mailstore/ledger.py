"""The ledger: one row for every message that the legacy server ever listed for an account.

A row comes into being when the message is first listed, with its position, UIDL and announced octets, and ends
with an outcome. It stays for good: what was `deleted` here must be known as long as the legacy server may list it
again. Only a row whose message turns out to be that of an older row goes: the legacy server gave a message that is
here, or was, another UIDL (`mailstore.renaming`).

So `uidl` is the legacy server's name of the message now. The name that POP3 clients see here is the first one, for
good (`shown`): a client that leaves mail on the server would fetch everything again otherwise. No two messages are
ever shown under one name: one whose UIDL another one had before gets a name of our own.

In a first move the rows hold UIDs for their messages from the listing on, so that a message that is fetched
late, or not at all, does not shift those behind it. Later a message gets its UID when it is stored: sessions
may be looking, and a UID must not appear below one that they have seen (RFC 3501 2.3.1.1).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Update, bindparam, case, func, insert, select, union_all, update

from mailstore import renaming, schema
from mailstore.database import MailboxDatabase
from mailstore.index import folders, mailbox
from mailstore.index.rows import Flags
from mailstore.maildir import info
from mailstore.message.likeness import MARK

_l, _m = schema.ledger.c, schema.messages.c


class Outcome(enum.StrEnum):
    LISTED = "listed"  # to be fetched
    STORED = "stored"
    QUARANTINED = "quarantined"  # could not be fetched or stored after retries; the reason says why
    GONE = "gone"  # vanished at the legacy server before it could be fetched
    DELETED = "deleted"  # stored, then removed here by the user


@dataclass(frozen=True, slots=True)
class Entry:
    """One row. `octets` as LIST announced them, `position` from 1."""

    id: int
    position: int
    uidl: str
    octets: int
    outcome: Outcome
    uid: int | None
    attempts: int
    updated: int  # seconds since 1970
    unlisted: int | None = None  # seconds since 1970: from when on the legacy server has not listed it
    shown: str | None = None  # POP3's name of it here, None: the UIDL; "": one of our own

    @property
    def settled(self) -> bool:
        """Is it here, or was it?"""
        return self.outcome in _SETTLED


@dataclass(frozen=True, slots=True)
class Listed:
    """A message as the legacy server lists it. `shown`: as in `Entry`."""

    position: int
    uidl: str
    octets: int
    shown: str | None = None


@dataclass(frozen=True, slots=True)
class Relisted:
    """What a listing changes in the row of a message that is known: see `Entry`. It is listed."""

    id: int
    position: int
    uidl: str
    octets: int
    shown: str | None


@dataclass(frozen=True, slots=True)
class Renamed:
    """Messages that a move found under other names than before, and whether that is most of what is listed."""

    messages: int
    all: bool


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message that could not be fetched or stored, for the administrator."""

    position: int
    uidl: str
    octets: int
    reason: str
    attempts: int
    updated: int  # seconds since 1970: the last attempt


@dataclass(frozen=True, slots=True)
class Landed:
    """A message whose file is in place and durable, for the ledger row `entry`."""

    entry: Entry
    size: int
    sha256: bytes
    internal_date: int
    flags: Flags
    file: str
    likeness: bytes | None = None  # `mailstore.message.likeness`


@dataclass(frozen=True, slots=True)
class Here:
    """A message that is here already: see `mailstore.recognition`."""

    folder_id: int
    uid: int
    file: str


@dataclass(frozen=True, slots=True)
class Sums:
    """The ledger added up: what `status` shows. Done is what was stored, whether or not the user deleted it since;
    what vanished in time is not owed. Octets as announced by LIST."""

    messages_done: int
    messages_total: int
    bytes_done: int
    bytes_total: int
    quarantined: int


_SETTLED = frozenset({Outcome.STORED, Outcome.DELETED})
FEW_RENAMED = 3  # messages that may get another name without anything being wrong with the others
_SUSPECT = 1  # attempts that are counted of a message that a person wants tried again: it is fetched by itself
_DONE = _l.outcome.in_([Outcome.STORED.value, Outcome.DELETED.value])
_OWED = _l.outcome != Outcome.GONE.value
_SUMS = select(
    func.coalesce(func.sum(case((_DONE, 1), else_=0)), 0),
    func.coalesce(func.sum(case((_OWED, 1), else_=0)), 0),
    func.coalesce(func.sum(case((_DONE, _l.octets), else_=0)), 0),
    func.coalesce(func.sum(case((_OWED, _l.octets), else_=0)), 0),
    func.coalesce(func.sum(case((_l.outcome == Outcome.QUARANTINED.value, 1), else_=0)), 0),
).where(_l.account_id == bindparam("a"))
_ENTRIES = (
    select(
        *(_l.id, _l.position, _l.uidl, _l.octets, _l.outcome, _l.uid, _l.attempts, _l.updated, _l.unlisted, _l.shown)
    )
    .where(_l.account_id == bindparam("a"))
    .order_by(_l.id)
)
_HERE = (_l.account_id == bindparam("a"), _l.id == bindparam("i"))
_STORED = (
    update(schema.ledger)
    .where(*_HERE)
    .values(
        outcome=Outcome.STORED.value,
        uid=bindparam("new_uid"),
        sha256=bindparam("new_sha256"),
        likeness=bindparam("new_likeness"),
        reason="",
        updated=bindparam("now"),
    )
)
_OUTCOME = (
    update(schema.ledger)
    .where(*_HERE)
    .values(outcome=bindparam("new"), reason=bindparam("why"), updated=bindparam("now"))
)
_ATTEMPT = (
    update(schema.ledger)
    .where(*_HERE)
    .values(attempts=_l.attempts + 1, reason=bindparam("why"), updated=bindparam("now"))
)
_UNLISTED = update(schema.ledger).where(*_HERE).values(unlisted=bindparam("now"))
_RELISTED = (
    update(schema.ledger)
    .where(*_HERE)
    .values(
        position=bindparam("new_position"),
        uidl=bindparam("new_uidl"),
        octets=bindparam("new_octets"),
        shown=bindparam("new_shown"),
        unlisted=None,
    )
)
_LISTED_NOW = select(func.count()).where(_l.account_id == bindparam("a"), _DONE, _l.unlisted.is_(None))
_HIGHEST = union_all(
    select(func.max(_l.id)).where(_l.account_id == bindparam("a")),
    select(schema.mailboxes.c.last_ledger_id).where(schema.mailboxes.c.account_id == bindparam("a")),
)
_MARKS = select(_l.id, _l.likeness).where(_l.account_id == bindparam("a"), _l.likeness.is_not(None))
_LIKE = select(_l.sha256, _l.likeness).where(*_HERE)
_OF_DIGESTS = (
    select(_l.id).where(_l.account_id == bindparam("a"), _l.sha256.in_(bindparam("digests", expanding=True))).limit(1)
)
_QUARANTINED = (
    select(_l.position, _l.uidl, _l.octets, _l.reason, _l.attempts, _l.updated)
    .where(_l.account_id == bindparam("a"), _l.outcome == Outcome.QUARANTINED.value)
    .order_by(_l.position, _l.id)
)
_RETRY = (
    update(schema.ledger)
    .where(_l.account_id == bindparam("a"), _l.outcome == Outcome.QUARANTINED.value)
    .values(attempts=_SUSPECT)
)
_NAMED = (
    update(schema.messages)
    .where(_m.account_id == bindparam("a"), _m.folder_id == bindparam("f"), _m.uid == bindparam("u"))
    .where(_m.file == bindparam("was"))
    .values(uidl=bindparam("to"))
)
_NONE_HERE: Mapping[int, Here] = {}


class Ledger:
    """An account's ledger. Every method is one transaction; one thread at a time, as the home it belongs to."""

    def __init__(
        self,
        database: MailboxDatabase,
        account_id: int,
        *,
        announce: Callable[[int], None],
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._account_id = account_id
        self._announce = announce
        self._clock = clock
        self.renamed = 0  # messages that were known again under another name, in this process

    def _now(self) -> int:
        return int(self._clock())

    def entries(self) -> list[Entry]:
        """All rows, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(_ENTRIES, {"a": self._account_id})
            return [Entry(i, p, u, o, Outcome(outcome), *rest) for i, p, u, o, outcome, *rest in rows]

    def marks(self) -> dict[int, bytes]:
        """What the headers of messages that are here, or were, say (`mailstore.message.likeness`), by row."""
        with self._database.read() as connection:
            return {i: like[:MARK] for i, like in connection.execute(_MARKS, {"a": self._account_id})}

    def alike(self, entry_id: int, sha256: bytes, likeness: bytes | None) -> bool:
        """Are these the bytes that came for the row, or at least the same message?"""
        with self._database.read() as connection:
            had = connection.execute(_LIKE, {"a": self._account_id, "i": entry_id}).one()
        return had[0] == sha256 or (likeness is not None and had[1] == likeness)

    def has_any(self, digests: Collection[bytes]) -> bool:
        """Is there, or was there, a message of any of these SHA-256? Looks at every row."""
        with self._database.read() as connection:
            key = {"a": self._account_id, "digests": list(digests)}
            return connection.execute(_OF_DIGESTS, key).first() is not None

    def names_change(self) -> bool:
        """Is it noted that the legacy server's UIDLs change from session to session?"""
        with self._database.read() as connection:
            return renaming.is_changing(connection, self._account_id)

    def note_names_change(self, *, changing: bool) -> None:
        with self._database.write() as connection:
            renaming.note_changing(connection, self._account_id, changing=changing)

    def conclude(self) -> Renamed:
        """A move is done: how many messages did the legacy server list under other names than before? Where that is
        most of them it is noted: if it happens again their names mean nothing."""
        renamed, self.renamed = self.renamed, 0
        if renamed < FEW_RENAMED:
            return Renamed(renamed, all=False)
        with self._database.write() as connection:
            listed = connection.scalar(_LISTED_NOW, {"a": self._account_id}) or 0
            most = 2 * renamed >= listed
            if most:
                renaming.note_changing(connection, self._account_id, changing=True)
        return Renamed(renamed, all=most)

    def quarantined(self) -> list[Quarantined]:
        """What could not be carried over, in the legacy server's order."""
        with self._database.read() as connection:
            return [Quarantined(*row) for row in connection.execute(_QUARANTINED, {"a": self._account_id})]

    def retry(self) -> int:
        """Have the next move ask for everything in quarantine again; gives back how many messages that are."""
        with self._database.write() as connection:
            return connection.execute(_RETRY, {"a": self._account_id}).rowcount

    def record_listing(
        self,
        listed: Sequence[Listed],
        gone: Iterable[int],
        *,
        hold_uids: bool,
        relisted: Iterable[Relisted] = (),
        unlisted: Iterable[int] = (),
    ) -> list[Entry]:
        """Enter what is listed for the first time, mark the rows `gone` that vanished before they were fetched and
        those `unlisted` that vanished afterwards, and write down what else the listing changes.

        Gives back the new rows in the order of `listed`.
        """
        with self._database.write() as connection:
            self._set_outcome(connection, gone, Outcome.GONE, "no longer listed by the legacy server")
            self._write_all(connection, _UNLISTED, [{"i": row, "now": self._now()} for row in unlisted])
            self._relist(connection, relisted)
            if not listed:
                return []
            highest = max(number or 0 for (number,) in connection.execute(_HIGHEST, {"a": self._account_id}))
            now = self._now()
            made = [
                Entry(highest + n, m.position, m.uidl, m.octets, Outcome.LISTED, None, 0, now, shown=m.shown)
                for n, m in enumerate(listed, 1)
            ]
            if hold_uids:
                made = self._hold_uids(connection, made)
            values = [
                {
                    "account_id": self._account_id,
                    "id": entry.id,
                    "position": entry.position,
                    "uidl": entry.uidl,
                    "octets": entry.octets,
                    "outcome": entry.outcome.value,
                    "uid": entry.uid,
                    "updated": entry.updated,
                    "shown": entry.shown,
                }
                for entry in made
            ]
            connection.execute(insert(schema.ledger), values)
        return made

    def _relist(self, connection: Connection, relisted: Iterable[Relisted]) -> None:
        values = [
            {
                "i": row.id,
                "new_position": row.position,
                "new_uidl": row.uidl,
                "new_octets": row.octets,
                "new_shown": row.shown,
            }
            for row in relisted
        ]
        self._write_all(connection, _RELISTED, values)

    def _write_all(self, connection: Connection, statement: Update, values: Sequence[dict[str, Any]]) -> None:
        if values:
            connection.execute(statement, [{"a": self._account_id} | each for each in values])

    def _hold_uids(self, connection: Connection, made: Sequence[Entry]) -> list[Entry]:
        inbox = self._inbox(connection)
        first = inbox.uidnext
        inbox.uidnext += len(made)
        folders.save(connection, self._account_id, inbox)
        return [replace(entry, uid=first + n) for n, entry in enumerate(made)]

    def enter(self, landed: Sequence[Landed], here: Mapping[int, Here] = _NONE_HERE) -> Sums:
        """Make messages that the barrier made durable visible: index and ledger in one transaction (invariant 2).

        Those that are `here` already, by ledger row, are not entered again, nor are those of an older row that the
        legacy server lists under another name now; their new files are to be removed.
        Gives back what the ledger adds up to afterwards.
        """
        with self._database.write() as connection:
            new = [message for message in landed if message.entry.id not in here]
            former = renaming.former(connection, self._account_id, new)
            if former:
                renaming.carry(connection, self._account_id, former)
                self.renamed += len(former)
                known = {message.entry.id for message, _ in former}
                new = [message for message in new if message.entry.id not in known]
                self._take_away(connection, (message for message, _ in former))
            if new:
                self._enter(connection, new)
            self._find_again(connection, [(m, here[m.entry.id]) for m in landed if m.entry.id in here])
            sums = self._add_up(connection)
        if new or here:
            self._announce(folders.INBOX_ID)
        return sums

    def _enter(self, connection: Connection, landed: Sequence[Landed]) -> None:
        inbox = self._inbox(connection)
        now = self._now()
        new = [
            mailbox.NewMessage(
                m.flags, m.size, m.internal_date, m.file, uidl=_shown(m.entry), uid=m.entry.uid, save_date=now
            )
            for m in landed
        ]
        uids = mailbox.add(connection, self._account_id, inbox, new)
        folders.save(connection, self._account_id, inbox)
        values: list[dict[str, Any]] = [
            self._bytes_of(m) | {"new_uid": uid, "now": now} for m, uid in zip(landed, uids, strict=True)
        ]
        connection.execute(_STORED, values)

    def _bytes_of(self, message: Landed) -> dict[str, Any]:
        return {
            "a": self._account_id,
            "i": message.entry.id,
            "new_sha256": message.sha256,
            "new_likeness": message.likeness,
        }

    def _find_again(self, connection: Connection, known: Sequence[tuple[Landed, Here]]) -> None:
        for message, place in known:
            entry = {"a": self._account_id, "i": message.entry.id, "now": self._now()}
            uid = None
            if place.folder_id == folders.INBOX_ID:
                uid = place.uid
                if shown := _shown(message.entry):
                    named = {"a": self._account_id, "f": place.folder_id, "u": uid, "was": place.file}
                    connection.execute(_NAMED, named | {"to": shown})
            connection.execute(_STORED, entry | self._bytes_of(message) | {"new_uid": uid})
            if uid is None:  # moved to another folder by the user
                connection.execute(_OUTCOME, entry | {"new": Outcome.DELETED.value, "why": ""})
        self._take_away(connection, (message for message, _ in known))

    def _take_away(self, connection: Connection, landed: Iterable[Landed]) -> None:
        """Have the files removed that are not needed."""
        paths = [f"cur/{message.file}{info(message.flags)}" for message in landed]
        if paths:
            folders.add_pending(connection, self._account_id, [("remove", path, "") for path in paths])

    def count_attempt(self, entry_id: int, reason: str) -> None:
        """A message could not be fetched this time; the next move tries again."""
        with self._database.write() as connection:
            values = {"a": self._account_id, "i": entry_id, "why": reason, "now": self._now()}
            connection.execute(_ATTEMPT, values)

    def quarantine(self, entry_id: int, reason: str) -> None:
        """A message could not be fetched or stored this time either: its row keeps its place and says why."""
        with self._database.write() as connection:
            values = {"a": self._account_id, "i": entry_id, "why": reason, "now": self._now()}
            connection.execute(_ATTEMPT, values)
            self._set_outcome(connection, [entry_id], Outcome.QUARANTINED, reason)

    def sums(self) -> Sums:
        with self._database.read() as connection:
            return self._add_up(connection)

    def _inbox(self, connection: Connection) -> folders.FolderRow:
        inbox = folders.by_id(connection, self._account_id, folders.INBOX_ID)
        assert inbox is not None
        return inbox

    def _set_outcome(self, connection: Connection, ids: Iterable[int], outcome: Outcome, reason: str) -> None:
        now = self._now()
        values = [{"a": self._account_id, "i": i, "new": outcome.value, "why": reason, "now": now} for i in ids]
        if values:
            connection.execute(_OUTCOME, values)

    def _add_up(self, connection: Connection) -> Sums:
        return Sums(*connection.execute(_SUMS, {"a": self._account_id}).one())


def _shown(entry: Entry) -> str:
    """POP3's name of a message here; "": one of our own."""
    return entry.uidl if entry.shown is None else entry.shown
