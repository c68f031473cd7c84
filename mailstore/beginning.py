"""What an index begins with when it is opened. It is one of these:

- known: the account's, as it was closed;
- new: of an account without mail;
- another account's: the accounts were made anew, and have other numbers. It is this one's, since it lies beside its
  Maildir;
- a copy of an index: known by its inode. Clients may have been told since what is not in it;
- missing, or set aside by `mailstore.index.opening`: made again from the record beside it, with the UIDs, UIDVALIDITY,
  POP3 names, flags and ledger that it had. Where there is no record, `mailstore.rebuilding` makes it.

A copy, and one that was made again, go on with numbers that nobody was told (`mailstore.index.ahead`), and are held
against the Maildir (`mailstore.doubts`).

Used by `mailstore.mailhome` alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from mailstore import recognition, record, schema
from mailstore.errors import StorageCorrupt, StorageFailed
from mailstore.index import salvage
from mailstore.index.ahead import AHEAD, look_ahead
from mailstore.index.opening import mark_damaged
from mailstore.index.salvage import Salvage, asides
from mailstore.mailbox_database import MailboxDatabase
from mailstore.maildir import Maildir, new_token
from mailstore.noting import KEPT
from mailstore.prepared import Prepared
from mailstore.rebuilding import rebuild
from mailstore.record import Record, record_path
from mailstore.refusals import storage_errors
from mailstore.replaying import Replayed, replay

Report = Callable[..., None]

_b, _m, _l = schema.mailboxes.c, schema.messages.c, schema.ledger.c
_KNOWN: Final = Prepared(select(_b.account_id, _b.token, _b.inode))
_RECORDED: Final = Prepared(select(_b.recorded))
_UNRECORDED: Final = {"recorded": _b.recorded + 1}  # what the record is told of by being written anew


@dataclass(frozen=True, slots=True)
class Begun:
    token: str
    in_doubt: bool = False  # may files be missing, or unknown, without another program having had to do with it?


class Beginning:
    """One account's."""

    def __init__(
        self, database: MailboxDatabase, account_id: int, maildir: Maildir, *, now: int, report: Report
    ) -> None:
        self._database = database
        self._account_id = account_id
        self._maildir = maildir
        self._now = now
        self._report = report

    def begin(self) -> Begun:
        """Raises StorageFailed."""
        known = self._known()
        if self._account_id not in known and len(known) == 1:
            self._take_over(*known)
            known = self._known()
        if self._account_id not in known:
            return self._make()
        token, inode = known[self._account_id]
        here = self._inode()
        if inode is None:
            self._note_inode(here)
        elif inode != here:
            return Begun(token, in_doubt=self._go_ahead(here))
        return Begun(token)

    def _known(self) -> dict[int, tuple[str, int | None]]:
        """Token and inode, by account."""
        with self._database.read() as connection:
            return {account_id: (token, inode) for account_id, token, inode in _KNOWN.all(connection, {})}

    def _inode(self) -> int:
        with storage_errors():
            return os.stat(self._database.path).st_ino  # noqa: PTH116 - as in opening

    def _take_over(self, other: int) -> None:
        with self._database.write() as connection:
            for table in schema.mailbox_metadata.sorted_tables:
                mine = update(table).where(table.c.account_id == other)
                connection.execute(mine.values(account_id=self._account_id))
            connection.execute(update(schema.mailboxes).values(_UNRECORDED))
        self._report("index has another number of its account, which was made anew")

    def _note_inode(self, inode: int) -> None:
        """A disk that is full or read-only keeps nobody from the mail that is there."""
        with suppress(StorageFailed), self._database.write() as connection:
            connection.execute(update(schema.mailboxes).values(inode=inode))

    def _go_ahead(self, inode: int) -> bool:
        """False where another process has done so, a moment ago."""
        with self._database.write() as connection:
            if connection.scalar(select(_b.inode)) == inode:
                return False
            look_ahead(self._database.driver)
            connection.execute(delete(schema.looked))
            connection.execute(update(schema.mailboxes).values(_UNRECORDED | {"inode": inode}))
        self._report("index is a copy; UIDs go on higher", ahead=AHEAD)
        return True

    # An index that is empty

    def _make(self) -> Begun:
        path = record_path(self._database.path)
        replayed = replay(path)
        if replayed is not None:
            return self._make_again(replayed)
        if path.exists():
            self._report("record of the index is damaged", record=path.name)
        return self._rebuild()

    def _make_again(self, replayed: Replayed) -> Begun:
        with self._database.write() as connection:
            made = self._made_by_another(connection)
            if made is not None:
                return Begun(made)
            token = self._fill(connection, replayed)
        count = {table.name: len(replayed.rows.of(table)) for table in (schema.folders, schema.messages, schema.ledger)}
        self._report(
            "index is made again from its record",
            folders=count["folders"],
            messages=count["messages"],
            ledger_rows=count["ledger"],
            lost_octets=replayed.lost,
        )
        return Begun(token, in_doubt=True)

    def _made_by_another(self, connection: Connection) -> str | None:
        """By another process, a moment ago."""
        return connection.scalar(select(_b.token).where(_b.account_id == self._account_id))

    def _fill(self, connection: Connection, replayed: Replayed) -> str:
        rows = replayed.rows
        (mailbox,) = rows.of(schema.mailboxes)
        places = {row["id"] for row in rows.of(schema.folders)}
        for table in KEPT:
            filled = [self._own(table.name, row) for row in rows.of(table)]
            if table in (schema.messages, schema.expunged):  # where the folder's row was lost
                filled = [row for row in filled if row["folder_id"] in places]
            if filled:
                connection.execute(insert(table), filled)
        highest = max((row["id"] for row in rows.of(schema.ledger)), default=0)
        values = {
            "recorded": replayed.last + 1,
            "inode": self._inode(),
            "last_ledger_id": max(highest, mailbox["last_ledger_id"]) + AHEAD,  # they stand in the names of files
        }
        connection.execute(update(schema.mailboxes).values(values))
        look_ahead(self._database.driver)
        recognition.note_loss(connection, self._account_id)
        return str(mailbox["token"])

    def _own(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        own = row | {"account_id": self._account_id}
        return own | {"content_id": None} if table == schema.messages.name else own

    def _rebuild(self) -> Begun:
        """With what an earlier one still tells, if there was one."""
        found, kept_from = Salvage(), ""
        for aside in asides(self._database.path):
            found = salvage.read(aside, self._account_id)
            if found:
                kept_from = aside.name
                break
        token = new_token()
        with storage_errors(), self._database.write() as connection:
            made = self._made_by_another(connection)
            if made is not None:
                return Begun(made)
            done = rebuild(connection, self._maildir, self._account_id, token, found, self._now)
            connection.execute(update(schema.mailboxes).values(inode=self._inode()))
        if done.had_mail:
            figures = {"folders": done.folders, "messages": done.messages, "ledger_rows": done.ledger_rows}
            self._report("index is made anew", kept_from=kept_from, **figures)
        return Begun(token, in_doubt=done.had_mail)


def keep_record(database: MailboxDatabase, token: str, report: Report) -> None:
    """Have the record beside an index, and have it go on. Raises StorageFailed."""
    kept = Record(database.path)
    found = record.state(kept.path, thorough=database.left_open)
    with database.read() as connection:
        (recorded,) = _RECORDED.first(connection, {})
    database.keep_record(kept)
    kept.behind = (
        found is None
        or not found.whole
        or found.last != recorded
        or (found.header.head, found.header.token) != (schema.HEAD, token)
    )
    tidy_record(database, report)


def tidy_record(database: MailboxDatabase, report: Report) -> None:
    """Write the record anew where something is missing in it, or where it has grown too large. A disk that is full or
    read-only keeps nobody from anything; an index that turns out to be damaged is mended at the next opening."""
    kept = database.record
    if kept is None or not kept.due():
        return
    try:
        with storage_errors(), database.write():
            kept.write_anew(database.driver)
    except StorageFailed as error:
        if isinstance(error, StorageCorrupt):
            mark_damaged(database.path)
        report("record of the index cannot be written", reason=str(error))
