"""What an index begins with when it is opened. It is one of these:

- known: the account's, as it was closed;
- new: of an account without mail;
- another account's: the accounts were made anew, and have other numbers. It is this one's, since it lies beside its
  Maildir;
- a copy of an index: known by the inode of its file, or by what stands for it in a server (`Mailbox.identity`). Clients
  may have been told since what is not in it;
- missing, or set aside by `mailstore.index.opening`: made again from the record beside it, with the UIDs, UIDVALIDITY,
  POP3 names, flags and ledger that it had. Where there is no record, as of a server, `mailstore.rebuilding` makes it.

A copy, and one that was made again, go on with numbers that nobody was told (`mailstore.index.ahead`), and are held
against the Maildir (`mailstore.doubts`).

Used by `mailstore.mailhome` alone.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mailstore import recognition, schema
from mailstore.errors import StorageFailed
from mailstore.index.ahead import AHEAD, look_ahead
from mailstore.mailbox import Mailbox, Report
from mailstore.maildir import Maildir, new_token
from mailstore.noting import KEPT
from mailstore.prepared import Prepared
from mailstore.rebuilding import rebuild
from mailstore.refusals import storage_errors
from mailstore.replaying import Replayed

_b = schema.mailboxes.c
_KNOWN: Final = Prepared(select(_b.token, _b.inode).where(_b.account_id == bindparam("a")))
_ALONE: Final = Prepared(select(_b.account_id).limit(2))
_UNRECORDED: Final = {"recorded": _b.recorded + 1}  # what the record is told of by being written anew


@dataclass(frozen=True, slots=True)
class Begun:
    token: str
    in_doubt: bool = False  # may files be missing, or unknown, without another program having had to do with it?


class Beginning:
    """One account's."""

    def __init__(self, database: Mailbox, account_id: int, maildir: Maildir, *, now: int, report: Report) -> None:
        self._database = database
        self._account_id = account_id
        self._maildir = maildir
        self._now = now
        self._report = report

    def begin(self) -> Begun:
        """Raises StorageFailed."""
        known = self._known()
        if known is None and (other := self._of_another()) is not None:
            self._take_over(other)
            known = self._known()
        if known is None:
            return self._make()
        token, identity = known
        here = self._database.identity()
        if identity is None:
            self._note_identity(here)
        elif identity != here:
            return Begun(token, in_doubt=self._go_ahead(here))
        return Begun(token)

    def _known(self) -> tuple[str, int | None] | None:
        """Token and identity, None where the account has no rows."""
        with self._database.read() as connection:
            row = _KNOWN.first(connection, {"a": self._account_id})
        return None if row is None else (row[0], row[1])

    def _of_another(self) -> int | None:
        """The only account whose rows are in a database of one account."""
        if self._database.shared:
            return None
        with self._database.read() as connection:
            found = _ALONE.all(connection, {})
        return int(found[0][0]) if len(found) == 1 else None

    def _take_over(self, other: int) -> None:
        with self._database.write() as connection:
            for table in schema.mailbox_metadata.sorted_tables:
                mine = update(table).where(table.c.account_id == other)
                connection.execute(mine.values(account_id=self._account_id))
            self._set(connection, _UNRECORDED)
        self._report("index has another number of its account, which was made anew")

    def _set(self, connection: Connection, values: dict[str, Any]) -> None:
        """In the mailbox's own row."""
        connection.execute(update(schema.mailboxes).where(_b.account_id == self._account_id).values(values))

    def _note_identity(self, identity: int) -> None:
        """A disk that is full or read-only keeps nobody from the mail that is there."""
        with suppress(StorageFailed), self._database.write() as connection:
            self._set(connection, {"inode": identity})

    def _go_ahead(self, identity: int) -> bool:
        """False where another process has done so, a moment ago."""
        with self._database.write() as connection:
            if connection.scalar(select(_b.inode).where(_b.account_id == self._account_id)) == identity:
                return False
            look_ahead(connection.exec_driver_sql, self._account_id)
            connection.execute(delete(schema.looked).where(schema.looked.c.account_id == self._account_id))
            self._set(connection, _UNRECORDED | {"inode": identity})
        self._report("index is a copy; UIDs go on higher", ahead=AHEAD)
        return True

    # An index that is empty

    def _make(self) -> Begun:
        replayed = self._database.replayed(self._report)
        return self._rebuild() if replayed is None else self._make_again(replayed)

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
            "inode": self._database.identity(),
            "last_ledger_id": max(highest, mailbox["last_ledger_id"]) + AHEAD,  # they stand in the names of files
        }
        self._set(connection, values)
        look_ahead(connection.exec_driver_sql, self._account_id)
        recognition.note_loss(connection, self._account_id)
        return str(mailbox["token"])

    def _own(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        own = row | {"account_id": self._account_id}
        return own | {"content_id": None} if table == schema.messages.name else own

    def _rebuild(self) -> Begun:
        """With what an earlier one still tells, if there was one."""
        found, kept_from = self._database.salvaged(self._account_id)
        token = new_token()
        with storage_errors(), self._database.write() as connection:
            made = self._made_by_another(connection)
            if made is not None:
                return Begun(made)
            done = rebuild(connection, self._maildir, self._account_id, token, found, self._now)
            self._set(connection, {"inode": self._database.identity()})
        if done.had_mail:
            figures = {"folders": done.folders, "messages": done.messages, "ledger_rows": done.ledger_rows}
            self._report("index is made anew", kept_from=kept_from, **figures)
        return Begun(token, in_doubt=done.had_mail)
