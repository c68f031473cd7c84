"""The ledger: one row for every message that the legacy server ever listed for an account.

A row comes into being when the message is first listed, keeps its position, UIDL and announced octets for
good, and ends with an outcome. Rows are never removed: what was `deleted` here must be known as long as the
legacy server may list it again.

In a first move the rows hold UIDs for their messages from the listing on, so that a message that is fetched
late, or not at all, does not shift those behind it. Later a message gets its UID when it is stored: sessions
may be looking, and a UID must not appear below one that they have seen (RFC 3501 2.3.1.1).
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, insert, select, update

from mailstore import schema
from mailstore.database import MailboxDatabase
from mailstore.index import awaited, folders, mailbox
from mailstore.index.rows import Flags
from mailstore.maildir import info
from mailstore.prepared import Prepared

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


@dataclass(frozen=True, slots=True)
class Listed:
    """A message as the legacy server lists it."""

    position: int
    uidl: str
    octets: int


@dataclass(frozen=True, slots=True)
class Landed:
    """A message whose file is in place and durable, for the ledger row `entry`."""

    entry: Entry
    size: int
    sha256: bytes
    internal_date: int
    flags: Flags
    file: str


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
    select(_l.id, _l.position, _l.uidl, _l.octets, _l.outcome, _l.uid, _l.attempts, _l.updated)
    .where(_l.account_id == bindparam("a"))
    .order_by(_l.id)
)
_HERE = (_l.account_id == bindparam("a"), _l.id == bindparam("i"))
_ADD = Prepared(
    insert(schema.ledger).values(
        account_id=bindparam("a"),
        id=bindparam("i"),
        position=bindparam("p"),
        uidl=bindparam("name"),
        octets=bindparam("octets"),
        outcome=bindparam("outcome"),
        uid=bindparam("uid"),
        updated=bindparam("now"),
    )
)
_STORED = (
    update(schema.ledger)
    .where(*_HERE)
    .values(
        outcome=Outcome.STORED.value,
        uid=bindparam("new_uid"),
        sha256=bindparam("new_sha256"),
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
_NAMED = (
    update(schema.messages)
    .where(_m.account_id == bindparam("a"), _m.folder_id == bindparam("f"), _m.uid == bindparam("u"))
    .where(_m.file == bindparam("was"))
    .values(uidl=bindparam("to"))
)
_NO_UID = update(schema.ledger).where(*_HERE).values(uid=None)
_NONE_HERE: Mapping[int, Here] = {}

Take = Callable[[Connection, folders.FolderRow, Sequence[Landed]], Mapping[int, int | None]]


def _nothing_awaited(
    _connection: Connection, _inbox: folders.FolderRow, _landed: Sequence[Landed]
) -> Mapping[int, int | None]:
    return {}


class Ledger:
    """An account's ledger. Every method is one transaction; one thread at a time, as the home it belongs to."""

    def __init__(
        self,
        database: MailboxDatabase,
        account_id: int,
        *,
        announce: Callable[[int], None],
        clock: Callable[[], float],
        take: Take = _nothing_awaited,
    ) -> None:
        """`take` puts messages into places that are kept for them: see `mailstore.oncoming.Oncoming.take`."""
        self._take = take
        self._database = database
        self._account_id = account_id
        self._announce = announce
        self._clock = clock

    def _now(self) -> int:
        return int(self._clock())

    def entries(self) -> list[Entry]:
        """All rows, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(_ENTRIES, {"a": self._account_id})
            return [Entry(i, p, u, o, Outcome(outcome), uid, n, at) for i, p, u, o, outcome, uid, n, at in rows]

    def record_listing(
        self,
        listed: Sequence[Listed],
        gone: Iterable[int],
        *,
        hold_uids: bool,
        shown: Flags | None = None,
        again: Iterable[int] = (),
    ) -> list[Entry]:
        """Enter what is listed for the first time, and mark the rows `gone` that vanished before they were fetched.

        Gives back the new rows in the order of `listed`. `shown`: the whole of it is listed to the user already, and
        so is what is new, or owed `again` after it had vanished, with these flags.
        """
        gone = list(gone)
        with self._database.write() as connection:
            self._set_outcome(connection, gone, Outcome.GONE, "no longer listed by the legacy server")
            changed = self._vanish(connection, gone)
            made = self._make(connection, listed, hold_uids=hold_uids) if listed else []
            if shown is not None:
                self._show(connection, shown, again)
        if shown is not None or changed:
            self._announce(folders.INBOX_ID)
        return made

    def show(self, flags: Flags) -> None:
        """List to the user whatever is owed, with these flags, before it is here: from now on nobody has to wait for
        the end of the move."""
        with self._database.write() as connection:
            self._show(connection, flags, ())
        self._announce(folders.INBOX_ID)

    def _show(self, connection: Connection, flags: Flags, again: Iterable[int]) -> None:
        inbox = self._inbox(connection)
        awaited.show(connection, self._account_id, inbox, flags, self._now(), again)
        folders.save(connection, self._account_id, inbox)

    def _vanish(self, connection: Connection, gone: Sequence[int]) -> bool:
        """What is gone at the legacy server and was listed here is listed no more; were there any?"""
        places = awaited.places(connection, self._account_id, gone)
        uids = sorted(place.uid for place in places.values() if not place.unwanted)
        if not uids:
            return False
        inbox = self._inbox(connection)
        mailbox.remove(connection, self._account_id, inbox, uids, self._now())
        folders.save(connection, self._account_id, inbox)
        awaited.drop(connection, self._account_id, uids)
        connection.execute(_NO_UID, [{"a": self._account_id, "i": i} for i in places])
        return True

    def _make(self, connection: Connection, listed: Sequence[Listed], *, hold_uids: bool) -> list[Entry]:
        """New rows. With `hold_uids` they hold the next UIDs of the INBOX, in order."""
        first = None
        if hold_uids:
            inbox = self._inbox(connection)
            first = inbox.uidnext
            inbox.uidnext += len(listed)
            folders.save(connection, self._account_id, inbox)
        highest = connection.scalar(select(func.max(_l.id)).where(_l.account_id == self._account_id)) or 0
        now, new = self._now(), Outcome.LISTED
        made = [
            Entry(highest + n, m.position, m.uidl, m.octets, new, None if first is None else first + n - 1, 0, now)
            for n, m in enumerate(listed, 1)
        ]
        same = {"a": self._account_id, "outcome": new.value, "now": now}
        _ADD.many(
            connection,
            [
                same | {"i": each.id, "p": each.position, "name": each.uidl, "octets": each.octets, "uid": each.uid}
                for each in made
            ],
        )
        return made

    def enter(self, landed: Sequence[Landed], here: Mapping[int, Here] = _NONE_HERE) -> Sums:
        """Make messages that the barrier made durable visible: index and ledger in one transaction (invariant 2).

        Those that are `here` already, by ledger row, are not entered again; their new files are to be removed.
        Gives back what the ledger adds up to afterwards.
        """
        with self._database.write() as connection:
            new = [message for message in landed if message.entry.id not in here]
            if new:
                self._enter(connection, new)
            self._find_again(connection, [(m, here[m.entry.id]) for m in landed if m.entry.id in here])
            sums = self._add_up(connection)
        if landed:
            self._announce(folders.INBOX_ID)
        return sums

    def _enter(self, connection: Connection, landed: Sequence[Landed]) -> None:
        inbox = self._inbox(connection)
        now = self._now()
        uids = dict(self._take(connection, inbox, landed))
        new = [message for message in landed if message.entry.id not in uids]
        if new:
            messages = [
                mailbox.NewMessage(
                    m.flags, m.size, m.internal_date, m.file, uidl=m.entry.uidl, uid=m.entry.uid, save_date=now
                )
                for m in new
            ]
            added = mailbox.add(connection, self._account_id, inbox, messages)
            uids.update((message.entry.id, uid) for message, uid in zip(new, added, strict=True))
        folders.save(connection, self._account_id, inbox)
        values: list[dict[str, Any]] = [
            {"a": self._account_id, "i": m.entry.id, "new_uid": uid, "new_sha256": m.sha256, "now": now}
            for m in landed
            if (uid := uids[m.entry.id]) is not None
        ]
        if values:
            connection.execute(_STORED, values)

    def _find_again(self, connection: Connection, known: Iterable[tuple[Landed, Here]]) -> None:
        for message, place in known:
            entry = {"a": self._account_id, "i": message.entry.id, "now": self._now()}
            uid = None
            if place.folder_id == folders.INBOX_ID:
                uid = place.uid
                if message.entry.uidl:
                    named = {"a": self._account_id, "f": place.folder_id, "u": uid, "was": place.file}
                    connection.execute(_NAMED, named | {"to": message.entry.uidl})
            connection.execute(_STORED, entry | {"new_uid": uid, "new_sha256": message.sha256})
            if uid is None:  # moved to another folder by the user
                connection.execute(_OUTCOME, entry | {"new": Outcome.DELETED.value, "why": ""})
            path = f"cur/{message.file}{info(message.flags)}"
            folders.add_pending(connection, self._account_id, [("remove", path, "")])

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
            places = awaited.places(connection, self._account_id, [entry_id]).values()
            awaited.date_at_last(connection, self._account_id, [place.uid for place in places], self._now())
        if places:  # whoever waits for it does so in vain
            self._announce(folders.INBOX_ID)

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
