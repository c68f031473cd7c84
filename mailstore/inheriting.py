"""An index takes over what another mail server knew of its Maildir: UIDs, UIDVALIDITY, UIDNEXT, flags, keywords,
POP3's names, subscriptions. For a mailbox that is adopted, and for one that comes back from Dovecot.

    files            names with wrong sizes are put right, nothing else is renamed yet
    one transaction  a folder: rows as the other server's list has them
    reconciliation   names become ours; what no list has gets UIDs, above all others

A change counter (RFC 7162) is in no list, and clients may know a higher one than ours: it goes on far above.

A crash leaves the lists and the letters in the names where they were, and the whole may be done again: what is in the
index already is found to be as it should be. What the index has of a message and no file can tell (its UIDL, its
internal date, keywords beyond Dovecot's letters) stays, under whatever UID the message has now.

Only the custodian (`mailstore.custody`) does this, by `MailHome.inherit`: nobody has a session meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, bindparam, delete, select, update

from mailstore import schema
from mailstore.adoption import Measured, fits_a_row, measure, with_right_sizes
from mailstore.entries import Outcome
from mailstore.index import folders, mailbox
from mailstore.index.ahead import AHEAD
from mailstore.index.folders import INBOX_ID, FolderRow
from mailstore.index.mailbox import NewMessage, own_uidl
from mailstore.index.rows import Flags, Row, shared_flags
from mailstore.inheritance.dovecot import HIGHEST_UID, key_of
from mailstore.inheritance.values import Found, FoundFolder, Inheritance, Remark
from mailstore.mailbox import Mailbox
from mailstore.maildir import Maildir, flags_of, folder_directory, unique_of
from mailstore.refusals import storage_errors

_l = schema.ledger.c
_MOVED_UID = (
    update(schema.ledger)
    .where(
        _l.account_id == bindparam("a"),
        _l.id == bindparam("i"),
    )
    .values(uid=bindparam("u"))
)


@dataclass(slots=True)
class Inherited:
    """What was done, for the administrator."""

    folders: int = 0
    messages: int = 0  # that are new to the index
    removed: int = 0
    flagged: int = 0  # whose flags have changed
    renumbered: int = 0  # which have another UID than before
    unnumbered: int = 0  # which no list had
    remarks: list[Remark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Message:
    """A file that is there, and what its row is to be."""

    found: Found
    uid: int
    unique: str
    flags: Flags
    row: Row | None  # what the index has of it
    measured: Measured | None  # where it has nothing


class Inheriting:
    """Of one account. Made by `MailHome.inherit` alone."""

    def __init__(
        self,
        database: Mailbox,
        account_id: int,
        maildir: Maildir,
        clock: Callable[[], float],
        *,
        whole: bool,
    ) -> None:
        """`whole`: folders, messages and subscriptions that the other server does not have any more go."""
        self._database = database
        self._account_id = account_id
        self._maildir = maildir
        self._clock = clock
        self._whole = whole
        self._done = Inherited()

    def take(self, inheritance: Inheritance) -> Inherited:
        """All but the reconciliation. Raises StorageFailed."""
        self._done.remarks += inheritance.remarks
        for folder in inheritance.folders:
            self._folder(folder)
            self._done.folders += 1
        self._of_the_account(inheritance)
        return self._done

    def _now(self) -> int:
        return int(self._clock())

    # A folder

    def _folder(self, found: FoundFolder) -> None:
        directory = folder_directory(found.name)
        with storage_errors():
            self._maildir.make(directory)
        with self._database.read() as connection:
            known = folders.by_name(connection, self._account_id, found.name)
            rows = mailbox.rows(connection, self._account_id, known.id) if known is not None else []
        by_file = {row.file: row for row in rows}
        with storage_errors():
            messages = self._messages(found, self._maildir.folder(directory), by_file)
        with self._database.write() as connection:
            folder = folders.by_name(connection, self._account_id, found.name)
            if folder is None:
                folder = folders.add(connection, self._account_id, found.name, directory, self._now())
            self._go(connection, folder, rows, messages, found)
            before = folder.uidvalidity
            folder.highestmodseq = max(folder.highestmodseq + AHEAD, self._now())
            self._make_valid(connection, folder, found.uidvalidity)
            self._come(connection, folder, messages, before)
            folder.uidnext = max(folder.uidnext, min(found.uidnext, HIGHEST_UID))
            folder.recent_from = _first_recent(folder, found)
            folders.save(connection, self._account_id, folder)

    def _messages(self, found: FoundFolder, path: Path, rows: Mapping[str, Row]) -> list[_Message]:
        """Those that the list has, by ascending UID. Of two files or two UIDs that are the same, the first. What is
        left out here is what `MailHome.reconcile` finds unknown, and numbers."""
        messages: dict[int, _Message] = {}
        taken: set[str] = set()
        corrected = _by_key(path)  # by an earlier attempt, perhaps
        for message in found.messages:
            name, measured = corrected.get((message.sub, key_of(message.name)), message.name), None
            row = rows.get(unique_of(name))
            if row is None and (measured := measure(path / message.sub / name)) is not None:
                name = _right(path / message.sub, name, measured)
                row = rows.get(unique_of(name))
            unique = unique_of(name)
            uid = message.uid or (row.uid if row is not None else None)
            unreadable = row is None and measured is None
            if uid is None or uid in messages or unique in taken or unreadable or not fits_a_row(unique):
                self._done.unnumbered += uid is None or row is None
                continue
            taken.add(unique)
            flags = shared_flags(flags_of(name) | message.keywords | _beyond(row, found.lettered))
            messages[uid] = _Message(message, uid, unique, flags, row, measured)
        return [messages[uid] for uid in sorted(messages)]

    def _go(
        self,
        connection: Connection,
        folder: FolderRow,
        rows: Collection[Row],
        messages: Collection[_Message],
        found: FoundFolder,
    ) -> None:
        """What is gone goes; what has another UID now loses its row, and gets a new one."""
        lying = {unique_of(message.name) for message in found.messages} | {message.unique for message in messages}
        gone = sorted(row.uid for row in rows if row.file and row.file not in lying) if self._whole else []
        if gone:
            mailbox.remove(connection, self._account_id, folder, gone, self._now())
            self._done.removed += len(gone)
        others = [m.row.uid for m in messages if m.row is not None and m.row.uid != m.uid]
        others += self._in_the_way(rows, messages)
        if others:
            _drop_rows(connection, self._account_id, folder.id, others)
        if found.uidvalidity and found.uidvalidity != folder.uidvalidity:  # no client's cache is of this folder
            expunged = schema.expunged.c
            here = (expunged.account_id == self._account_id, expunged.folder_id == folder.id)
            connection.execute(delete(schema.expunged).where(*here))

    def _in_the_way(self, rows: Collection[Row], messages: Collection[_Message]) -> list[int]:
        """UIDs of messages that are no longer in the list and have a UID that another one has there: they get
        others, as whatever no list has."""
        wanted = {m.uid for m in messages if m.row is None or m.row.uid != m.uid}
        known = {m.row.uid for m in messages if m.row is not None}
        return [row.uid for row in rows if row.uid in wanted and row.uid not in known]

    def _come(self, connection: Connection, folder: FolderRow, messages: Sequence[_Message], uidvalidity: int) -> None:
        new, changed = [], []
        moved: dict[int, int] = {}
        for message in messages:
            row = message.row
            if row is None:
                new.append(_new(message))
            elif row.uid != message.uid:
                moved[row.uid] = message.uid
                new.append(_again(row, message, uidvalidity))
            elif row.flags != message.flags:
                changed.append((row.uid, message.flags))
        if changed:
            mailbox.set_flags(connection, self._account_id, folder, changed)
        if new:
            mailbox.add(connection, self._account_id, folder, new)
        self._done.flagged += len(changed)
        self._done.renumbered += len(moved)
        self._done.messages += len(new) - len(moved)
        folder.uidnext = max([folder.uidnext, *(message.uid + 1 for message in messages)])
        _renumber_ledger(connection, self._account_id, folder.id, moved)

    def _make_valid(self, connection: Connection, folder: FolderRow, uidvalidity: int) -> None:
        if uidvalidity and uidvalidity != folder.uidvalidity:
            folder.uidvalidity = uidvalidity
            here = (schema.folders.c.account_id == self._account_id, schema.folders.c.id == folder.id)
            connection.execute(update(schema.folders).where(*here).values(uidvalidity=uidvalidity))
        _raise_uidvalidity(connection, self._account_id, uidvalidity)

    # The account

    def _of_the_account(self, inheritance: Inheritance) -> None:
        names = {folder.name for folder in inheritance.folders}
        with self._database.write() as connection:
            _raise_uidvalidity(connection, self._account_id, inheritance.uidvalidity)
            if self._whole:
                for folder in folders.every(connection, self._account_id):
                    if folder.name not in names and folder.id != INBOX_ID:
                        folders.drop(connection, self._account_id, folder.id)
            if inheritance.subscriptions is not None:
                before = folders.subscriptions(connection, self._account_id)
                for name in before if self._whole else ():
                    if name not in inheritance.subscriptions:
                        folders.unsubscribe(connection, self._account_id, name)
                for name in inheritance.subscriptions:
                    folders.subscribe(connection, self._account_id, name)


def _beyond(row: Row | None, lettered: Collection[str]) -> Flags:
    """Keywords that the index has of a message and the other server has no letters for."""
    if row is None:
        return shared_flags(())
    return shared_flags(flag for flag in row.flags if not flag.startswith("\\") and flag not in lettered)


def _by_key(path: Path) -> dict[tuple[str, str], str]:
    """The names of files by what does not change of them."""
    return {(sub, key_of(name)): name for sub in ("new", "cur") for name in os.listdir(path / sub)}  # noqa: PTH208


def _right(path: Path, name: str, measured: Measured) -> str:
    """The file's name, with sizes that Dovecot and Courier may believe."""
    right = with_right_sizes(name, measured)
    if right != name:
        if (path / right).exists():
            return name
        (path / name).rename(path / right)
    return right


def _new(message: _Message) -> NewMessage:
    measured = message.measured
    assert measured is not None
    native = measured.sent != measured.octets
    size = measured.sent if native else measured.octets
    return NewMessage(
        message.flags, size, measured.modified, message.unique, message.found.uidl, message.uid, native=native
    )


def _again(row: Row, message: _Message, uidvalidity: int) -> NewMessage:
    """The same message under another UID: POP3 names it as before, but for a name that says the UID."""
    uidl = "" if row.uidl == own_uidl(uidvalidity, row.uid) else row.uidl
    return NewMessage(
        message.flags,
        row.size,
        row.internal_date,
        row.file,
        uidl or message.found.uidl,
        message.uid,
        row.save_date,
        native=row.native,
    )


def _drop_rows(connection: Connection, account_id: int, folder_id: int, uids: Collection[int]) -> None:
    """Without the ledger's being told: the messages stay."""
    table = schema.messages
    for some in mailbox.chunks(uids):
        here = (table.c.account_id == account_id, table.c.folder_id == folder_id, table.c.uid.in_(some))
        connection.execute(delete(table).where(*here))


def _renumber_ledger(connection: Connection, account_id: int, folder_id: int, moved: Mapping[int, int]) -> None:
    """The ledger says under which UIDs its messages are here. By its rows' own numbers: UIDs may change places."""
    if not moved:
        return
    stored = (_l.account_id == account_id, _l.folder_id == folder_id, _l.outcome == Outcome.STORED.value)
    rows = connection.execute(select(_l.id, _l.uid).where(*stored)).all()
    values = [{"a": account_id, "i": entry, "u": moved[uid]} for entry, uid in rows if uid in moved]
    if values:
        connection.execute(_MOVED_UID, values)


def _first_recent(folder: FolderRow, found: FoundFolder) -> int:
    """From which UID on nobody was shown a message: those at the end that still lie in `new`."""
    first = folder.uidnext
    for message in sorted((m for m in found.messages if m.uid), key=lambda m: -(m.uid or 0)):
        if message.sub != "new" or message.uid is None:
            break
        first = message.uid
    return first


def _raise_uidvalidity(connection: Connection, account_id: int, uidvalidity: int) -> None:
    """A folder that is made later gets a higher one than any before it."""
    table = schema.mailboxes
    last = connection.scalar(select(table.c.last_uidvalidity).where(table.c.account_id == account_id))
    if last is not None and last < uidvalidity:
        here = update(table).where(table.c.account_id == account_id)
        connection.execute(here.values(last_uidvalidity=uidvalidity))
