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

A POP3 maildrop is the INBOX. Of a legacy server with IMAP a row says besides which of its folders listed the message,
under which identity there (`legacy_id`), and which folder here has it (`mailstore.old_folders`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, case, func, insert, null, or_, select, union_all, update

from mailstore import renaming, schema
from mailstore.entries import NUL, Entry, Here, Landed, Listed, Outcome, Quarantined, Sums
from mailstore.index import awaited, folders, mailbox
from mailstore.index.rows import Flags
from mailstore.mailbox import Announce, Mailbox
from mailstore.maildir import info
from mailstore.prepared import Bulk, Prepared
from mailstore.renaming import AT_ONCE, Relisted

_l, _m = schema.ledger.c, schema.messages.c


_SUSPECT = 1  # attempts that are counted of a message that a person wants tried again: it is fetched by itself
_DONE = or_(_l.outcome == Outcome.STORED.value, _l.outcome == Outcome.DELETED.value)
_OWED = _l.outcome != Outcome.GONE.value
_SUMS = Prepared(
    select(
        func.coalesce(func.sum(case((_DONE, 1), else_=0)), 0),
        func.coalesce(func.sum(case((_OWED, 1), else_=0)), 0),
        mailbox.added_up(case((_DONE, _l.octets), else_=0)),
        mailbox.added_up(case((_OWED, _l.octets), else_=0)),
        func.coalesce(func.sum(case((_l.outcome == Outcome.QUARANTINED.value, 1), else_=0)), 0),
    ).where(_l.account_id == bindparam("a"))
)
_ENTRIES = Prepared(
    select(
        *(_l.id, _l.position, _l.uidl, _l.octets, _l.outcome, _l.uid, _l.attempts, _l.updated, _l.unlisted, _l.shown),
        *(_l.folder, _l.folder_id, _l.legacy_id),
    )
    .where(_l.account_id == bindparam("a"))
    .order_by(_l.id)
)
_HERE = (_l.account_id == bindparam("a"), _l.id == bindparam("i"))
_ADDED: Final = (
    *("account_id", "id", "position", "uidl", "octets", "outcome", "uid", "updated"),
    *("folder", "folder_id", "legacy_id", "shown"),
)
_ADD = Bulk(insert(schema.ledger).values({name: bindparam(name) for name in _ADDED}), _ADDED)
_STORED_AS_HELD = (
    update(schema.ledger)
    .where(*_HERE)
    .values(
        outcome=Outcome.STORED.value,
        sha256=bindparam("new_sha256"),
        likeness=bindparam("new_likeness"),
        reason="",
        updated=bindparam("now"),
    )
)
_BYTES: Final = ("new_sha256", "new_likeness", "now", "a", "i")
_HELD = Bulk(_STORED_AS_HELD, _BYTES)  # its UID stays, and the index of UIDs as it is
_STORED = Bulk(_STORED_AS_HELD.values(uid=bindparam("new_uid")), ("new_uid", *_BYTES))
_OUTCOME = Prepared(
    update(schema.ledger)
    .where(*_HERE)
    .values(outcome=bindparam("new"), reason=bindparam("why"), updated=bindparam("now"))
)
_ATTEMPT = (
    update(schema.ledger)
    .where(*_HERE)
    .values(attempts=_l.attempts + 1, reason=bindparam("why"), updated=bindparam("now"))
)
_HIGHEST = union_all(
    select(func.max(_l.id)).where(_l.account_id == bindparam("a")),
    select(schema.mailboxes.c.last_ledger_id).where(schema.mailboxes.c.account_id == bindparam("a")),
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
_PLACES = select(schema.old_folders.c.name, schema.old_folders.c.folder_id).where(
    schema.old_folders.c.account_id == bindparam("a")
)
_NO_UID = Prepared(update(schema.ledger).where(*_HERE).values(uid=null()))
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
        database: Mailbox,
        account_id: int,
        *,
        announce: Announce,
        clock: Callable[[], float],
        take: Take = _nothing_awaited,
    ) -> None:
        """`take` puts messages into places that are kept for them: see `mailstore.oncoming.Oncoming.take`."""
        self._take = take
        self._database = database
        self._account_id = account_id
        self._announce = announce
        self._clock = clock
        self.thrown_away = 0  # messages that came although the user had removed them meanwhile
        self.renamed = 0  # messages that were known again under other names, in this move
        self._sums: Sums | None = None  # as of the last batch: to add up a large ledger after each takes too long

    def _now(self) -> int:
        return int(self._clock())

    def entries(self) -> list[Entry]:
        """All rows, oldest first."""
        with self._database.read() as connection:
            rows = _ENTRIES.all(connection, {"a": self._account_id})
            return [Entry(i, p, u, o, Outcome(outcome), *rest) for i, p, u, o, outcome, *rest in rows]

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
        shown: Flags | None = None,
        again: Iterable[int] = (),
    ) -> list[Entry]:
        """Enter what is listed for the first time, mark the rows `gone` that vanished before they were fetched and
        those `unlisted` that vanished afterwards, and write down what else the listing changes.

        Gives back the new rows in the order of `listed`. `shown`: the whole of it is listed to the user already, and
        so is what is new, or owed `again` after it had vanished, with these flags.
        """
        gone = list(gone)
        with self._database.write() as connection:
            self._set_outcome(connection, gone, Outcome.GONE, "no longer listed by the legacy server")
            renaming.unlist(connection, self._account_id, unlisted, self._now())
            renaming.relist(connection, self._account_id, relisted)
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
        if not self._show_no_more(connection, places.values()):
            return False
        _NO_UID.many(connection, [{"a": self._account_id, "i": i} for i in places])
        return True

    def _show_no_more(self, connection: Connection, places: Iterable[awaited.Place]) -> bool:
        """Take messages that are not here out of the INBOX; were there any?"""
        uids = sorted(place.uid for place in places if not place.unwanted)
        if not uids:
            return False
        inbox = self._inbox(connection)
        mailbox.remove(connection, self._account_id, inbox, uids, self._now())
        folders.save(connection, self._account_id, inbox)
        awaited.drop(connection, self._account_id, uids)
        return True

    def _make(self, connection: Connection, listed: Sequence[Listed], *, hold_uids: bool) -> list[Entry]:
        """New rows. With `hold_uids` they hold the next UIDs of their folders, in order."""
        highest = max(number or 0 for (number,) in connection.execute(_HIGHEST, {"a": self._account_id}))
        now, new = self._now(), Outcome.LISTED
        places = self._places(connection)
        rows = {folder.id: folder for folder in folders.every(connection, self._account_id)} if hold_uids else {}
        made = []
        for n, message in enumerate(listed, highest + 1):
            folder_id = places.get(message.folder, folders.INBOX_ID)
            folder, uid = rows.get(folder_id), None  # it may have been deleted a moment ago
            if folder is not None:
                uid = folder.uidnext
                folder.uidnext += 1
            made.append(
                Entry(
                    *(n, message.position, message.uidl, message.octets, new, uid, 0, now),
                    shown=message.shown,
                    folder=message.folder,
                    folder_id=folder_id,
                    legacy_id=message.legacy_id,
                )
            )
        for folder_id in {entry.folder_id for entry in made} & rows.keys():
            folders.save(connection, self._account_id, rows[folder_id])
        for start in range(0, len(made), AT_ONCE):  # as parameters rows take many times the memory
            _ADD.run(connection, map(self._row, made[start : start + AT_ONCE]))
        return made

    def _row(self, entry: Entry) -> tuple[Any, ...]:
        return (
            *(self._account_id, entry.id, entry.position, entry.uidl, entry.octets, entry.outcome.value, entry.uid),
            *(entry.updated, entry.folder, entry.folder_id, entry.legacy_id, entry.shown),
        )

    def _places(self, connection: Connection) -> Mapping[str, int]:
        """Which folder here each of the legacy server's is."""
        return {row.name: row.folder_id for row in connection.execute(_PLACES, {"a": self._account_id})}

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
                known = {message.entry.id for message, _ in former}
                new = [message for message in new if message.entry.id not in known]
                self._take_away(connection, (message for message, _ in former))
            known = {message.entry.id for message, _ in former} | here.keys()
            shown = awaited.places(connection, self._account_id, known)
            if new:
                self._enter(connection, new)
            self._find_again(connection, [(m, here[m.entry.id]) for m in landed if m.entry.id in here])
            self._show_no_more(connection, shown.values())
            if self._sums is None:
                sums = self._add_up(connection)
            else:
                sums = self._sums.plus(landed, [row.octets for _, row in former])
        self._sums = sums
        self.renamed += len(former)
        known_again = {message.entry.id for message, _ in former}
        for folder_id in sorted({m.entry.folder_id for m in landed if m.entry.id not in known_again}):
            self._announce(folder_id)
        return sums

    def _enter(self, connection: Connection, landed: Sequence[Landed]) -> None:
        by_folder: dict[int, list[Landed]] = {}
        for message in landed:
            by_folder.setdefault(message.entry.folder_id, []).append(message)
        for folder_id, messages in by_folder.items():
            folder = folders.by_id(connection, self._account_id, folder_id)
            if folder is None:  # the user deleted it while they came
                self._set_outcome(connection, (message.entry.id for message in messages), Outcome.DELETED, "")
            else:
                self._enter_into(connection, folder, messages)

    def _enter_into(self, connection: Connection, folder: folders.FolderRow, landed: Sequence[Landed]) -> None:
        now = self._now()
        inbox = folder.id == folders.INBOX_ID
        uids = dict(self._take(connection, folder, landed)) if inbox else {}
        self.thrown_away += sum(uid is None for uid in uids.values())
        if uids:  # what was removed before it was here counts as done already
            self._sums = None
        new = [message for message in landed if message.entry.id not in uids]
        if new:
            messages = [
                mailbox.NewMessage(
                    m.flags, m.size, m.internal_date, m.file, uidl=_shown(m.entry), uid=m.entry.uid, save_date=now
                )
                for m in new
            ]
            added = mailbox.add(connection, self._account_id, folder, messages)
            uids.update((message.entry.id, uid) for message, uid in zip(new, added, strict=True))
        folders.save(connection, self._account_id, folder)
        self._store(connection, [(m, uid) for m in landed if (uid := uids[m.entry.id]) is not None])

    def _store(self, connection: Connection, landed: Iterable[tuple[Landed, int | None]]) -> None:
        """Write down that messages came, and which UIDs they have."""
        now, account_id = self._now(), self._account_id
        held, others = [], []
        for (entry, _, sha256, *_, likeness), uid in landed:
            values = (sha256, likeness, now, account_id, entry.id)
            if uid == entry.uid:
                held.append(values)
            else:
                others.append((uid, *values))
        _HELD.run(connection, held)
        _STORED.run(connection, others)

    def _find_again(self, connection: Connection, known: Sequence[tuple[Landed, Here]]) -> None:
        for message, place in known:
            entry = {"a": self._account_id, "i": message.entry.id, "now": self._now()}
            uid = None
            if place.folder_id == message.entry.folder_id:
                uid = place.uid
                if shown := _shown(message.entry):
                    named = {"a": self._account_id, "f": place.folder_id, "u": uid, "was": place.file}
                    connection.execute(_NAMED, named | {"to": shown})
            self._store(connection, [(message, uid)])
            if uid is None:  # moved to another folder by the user
                _OUTCOME.run(connection, entry | {"new": Outcome.DELETED.value, "why": ""})
        self._take_away(connection, (message for message, _ in known))

    def _take_away(self, connection: Connection, landed: Iterable[Landed]) -> None:
        """Have the files removed that are not needed."""
        directories = {folder.id: folder.directory for folder in folders.every(connection, self._account_id)}
        paths = [
            f"{directories[message.entry.folder_id]}/cur/{message.file}{info(message.flags)}".lstrip("/")
            for message in landed
            if message.entry.folder_id in directories
        ]
        if paths:
            folders.add_pending(connection, self._account_id, [("remove", path, "") for path in paths])

    def count_attempt(self, entry_id: int, reason: str) -> None:
        """A message could not be fetched this time; the next move tries again."""
        with self._database.write() as connection:
            values = {"a": self._account_id, "i": entry_id, "why": _words(reason), "now": self._now()}
            connection.execute(_ATTEMPT, values)

    def quarantine(self, entry_id: int, reason: str) -> None:
        """A message could not be fetched or stored this time either: its row keeps its place and says why."""
        reason = _words(reason)
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
            self._sums = self._add_up(connection)
            return self._sums

    def _inbox(self, connection: Connection) -> folders.FolderRow:
        inbox = folders.by_id(connection, self._account_id, folders.INBOX_ID)
        assert inbox is not None
        return inbox

    def _set_outcome(self, connection: Connection, ids: Iterable[int], outcome: Outcome, reason: str) -> None:
        self._sums = None
        now = self._now()
        values = [{"a": self._account_id, "i": i, "new": outcome.value, "why": reason, "now": now} for i in ids]
        _OUTCOME.many(connection, values)

    def _add_up(self, connection: Connection) -> Sums:
        return Sums(*_SUMS.first(connection, {"a": self._account_id}))


def _words(reason: str) -> str:
    """A reason, which may have words of the legacy server in it."""
    return reason.replace("\0", NUL)


def _shown(entry: Entry) -> str:
    """POP3's name of a message here; "": one of our own."""
    return entry.uidl if entry.shown is None else entry.shown
