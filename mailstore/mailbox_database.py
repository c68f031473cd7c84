"""The databases beside the Maildirs: one account's index and ledger in each.

`MailboxEngine` is shared by all accounts: one engine, one cache of compiled statements, and a connection for each
mailbox that is open. What comes out of a `MailboxDatabase` belongs to one thread at a time.

What a transaction writes is numbered in it, and goes into the record beside the index when it is on stable storage
(`mailstore.record`).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import TracebackType

from sqlalchemy import Connection
from sqlalchemy.pool import NullPool

from mailstore import record
from mailstore.barrier import Barriers
from mailstore.errors import StorageCorrupt, StorageFailed, TakesLonger
from mailstore.index import salvage
from mailstore.index.salvage import Salvage
from mailstore.mailbox import Mailbox, Report
from mailstore.noting import Noting, listen
from mailstore.record import Record, record_path
from mailstore.refusals import storage_errors, translated
from mailstore.replaying import Replayed, replay
from mailstore.schema import HEAD, mailbox_metadata
from mailstore.sqlite import BEGIN_WRITE, BUSY_TIMEOUT, bring_to_head, connect, make_private, sqlite_engine, statements

_RECORDED = "SELECT recorded FROM mailboxes"
_NUMBER = "UPDATE mailboxes SET recorded = recorded + 1 RETURNING recorded"

_opening: ContextVar[Path] = ContextVar("_opening")


def index_path(maildir: Path) -> Path:
    """Where the index and ledger of a Maildir are: beside it."""
    return maildir.with_name(maildir.name + ".db")


@cache
def new_mailbox() -> bytes:
    """The file of a mailbox database in which nothing is yet: writing it is quicker than making the tables, and there
    is one for each account."""
    with closing(sqlite3.connect(":memory:")) as made:
        for statement in statements(mailbox_metadata):
            made.execute(statement)
        made.commit()
        image = bytearray(made.serialize())
    image[18:20] = b"\2\2"  # it has a write-ahead log (SQLite's file format, 1.3)
    return bytes(image)


def mark_damaged(path: Path) -> None:
    """The next opening is to look at the whole of the file."""
    with suppress(OSError):
        damaged_marker(path).touch(mode=0o600)


def damaged_marker(path: Path) -> Path:
    """Beside the file as long as that is to be done."""
    return path.with_name(path.name + ".suspect")


def check(connection: Connection) -> None:
    """Look at the whole of an index, within a transaction. Raises StorageCorrupt."""
    said = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
    if said != "ok":
        raise StorageCorrupt("the database is damaged")


def commit(driver: sqlite3.Connection) -> None:
    """The end of every transaction that changed something in a mailbox: the moment from which it is kept."""
    driver.commit()


class MailboxEngine:
    """Opens the databases beside the Maildirs."""

    def __init__(self) -> None:
        self.barriers = Barriers()
        self._engine = sqlite_engine(
            creator=lambda: connect(_opening.get(), create=False, factory=Noting), poolclass=NullPool
        )
        listen(self._engine)

    def open(self, path: Path) -> MailboxDatabase:
        """Open the file, made from the schema if it is not there; its directory must be. Raises StorageFailed."""
        with storage_errors():
            make_private(path)  # it tells who has which messages
            database = MailboxDatabase(path, lambda: self._connect(path), self.barriers)
            try:
                read_only = os.statvfs(path.parent).f_flag & os.ST_RDONLY
                with database.read() if read_only else database.write() as connection:
                    bring_to_head(connection, mailbox_metadata)
            except BaseException:
                database.close()
                raise
            return database

    def _connect(self, path: Path) -> Connection:
        token = _opening.set(path)
        try:
            return self._engine.connect()
        finally:
            _opening.reset(token)


class _Transaction:
    """A block that is one transaction: committed when it has ended well, undone when not. Raises StorageFailed.

    A class, where a generator would be shorter: nearly every command has several.
    """

    __slots__ = ("_before", "_begin", "_database", "_driver")

    def __init__(self, database: MailboxDatabase, begin: str) -> None:
        self._database = database
        self._begin = begin

    def __enter__(self) -> Connection:
        self._driver = self._database.driver
        self._before = self._driver.total_changes
        if self._driver.said:  # of one that was undone
            self._driver.said.clear()
        try:
            self._driver.execute(self._begin)
        except sqlite3.Error as error:
            if self._database.hurried and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise TakesLonger from error
            failed = translated(error)
            assert failed is not None
            raise failed from error
        return self._database.connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                if self._driver.total_changes == self._before:
                    self._driver.commit()
                else:
                    self._commit_changes()
            else:
                self._driver.rollback()  # nothing, where SQLite has done so by itself
        except BaseException as failure:
            self._driver.rollback()
            error = failure
            if translated(failure) is None:
                raise
        if error is not None and (failed := translated(error)) is not None:
            raise failed from error

    def _commit_changes(self) -> None:
        database, said = self._database, self._driver.said
        numbers = self._driver.execute(_NUMBER).fetchall() if said else ()
        begun = time.perf_counter()
        commit(self._driver)
        took = time.perf_counter() - begun
        if said and database.record is not None:
            for (number,) in numbers:
                database.record.take(number, b"".join(said))
        if database.waits:
            database.barriers.took(took)
            database.write_record()
        elif not database.lightly:
            database.owed = True
        database.hurry(False)  # something has changed: from here on the operation goes to its end


class MailboxDatabase(Mailbox):
    """One account's open index and ledger. One thread at a time.

    Transactions are begun and ended at the driver: SQLAlchemy's own, with their events and options, cost several
    times what SQLite needs. To SQLAlchemy the connection is in one transaction for as long as it is open.
    """

    shared = False

    def __init__(self, path: Path, connect: Callable[[], Connection], barriers: Barriers) -> None:
        super().__init__()
        self._connect = connect
        self._open: tuple[Connection, Noting] | None = None
        self.path = path
        self._log = path.with_name(path.name + "-wal")
        self.marker: Path | None = None  # a file that is there as long as the database is open
        self.left_open = False  # was that file there already?
        self.record: Record | None = None  # where what is written is recorded; None: nowhere yet
        self.barriers = barriers
        self.waits = True  # does a commit wait for the disk?
        self.lightly = False  # … and would nothing be lost if it were undone?

    @property
    def log(self) -> Path:
        return self._log

    @property
    def connection(self) -> Connection:
        """Opened where it is not. Raises StorageFailed."""
        return self._awake()[0]

    @property
    def driver(self) -> Noting:
        """As `connection`."""
        return self._awake()[1]

    def _awake(self) -> tuple[Connection, Noting]:
        if self._open is None:
            with storage_errors():
                connection = self._connect()
            driver = connection.connection.driver_connection
            assert isinstance(driver, Noting)
            if self.record is not None:
                driver.said = []
            self._open = connection, driver
            self.mark()
            self.hurried, self.waits = False, True
        return self._open

    def write_record(self) -> None:
        """What was committed is on stable storage."""
        if self.record is not None:
            self.record.write()

    def mark(self) -> None:
        """Have the marker be there. A disk that is full keeps nobody from the mail that is there."""
        if self.marker is not None:
            with suppress(OSError):
                self.marker.touch(mode=0o600)

    def hurry(self, hurried: bool) -> None:
        if hurried is not self.hurried:
            self.driver.execute(f"PRAGMA busy_timeout={0 if hurried else int(BUSY_TIMEOUT * 1000)}")
            self.hurried = hurried

    def paid(self) -> None:
        self.owed = False
        self.write_record()

    def _begin_read(self) -> _Transaction:
        return _Transaction(self, "BEGIN")

    def write(self) -> _Transaction:
        self.apart()
        self._wait(not self.owing)
        return _Transaction(self, BEGIN_WRITE)

    def _wait(self, waits: bool) -> None:
        driver = self.driver
        if waits is not self.waits:
            driver.execute("PRAGMA synchronous=" + ("FULL" if waits else "NORMAL"))
            self.waits = waits

    @contextmanager
    def write_lightly(self) -> Iterator[Connection]:
        """The log is written in order: so no later change outlives an earlier one."""
        self.apart()
        with storage_errors():
            self._wait(False)
        self.lightly = True
        try:
            with _Transaction(self, BEGIN_WRITE) as connection:
                yield connection
        finally:
            self.lightly = False

    def close(self) -> None:
        """Give back the descriptors and some 300 KiB. Whoever uses it again opens it again."""
        if self._open is None:
            return
        if self.marker is not None:  # before SQLite removes the log, which it does as the last one closes
            with suppress(OSError):
                self.marker.unlink(missing_ok=True)
        self._open[0].close()
        self._open = None
        if self.record is not None:  # SQLite has brought its log into the database
            self.record.write()

    # Its beginning

    def identity(self) -> int:
        """The inode."""
        with storage_errors():
            return os.stat(self.path).st_ino  # noqa: PTH116 - as in opening

    def replayed(self, report: Report) -> Replayed | None:
        path = record_path(self.path)
        found = replay(path)
        if found is None and path.exists():
            report("record of the index is damaged", record=path.name)
        return found

    def salvaged(self, account_id: int) -> tuple[Salvage, str]:
        for aside in salvage.asides(self.path):
            found = salvage.read(aside, account_id)
            if found:
                return found, aside.name
        return Salvage(), ""

    # The record, and damage

    def keep_record(self, token: str, report: Report) -> None:
        kept = Record(self.path)
        found = record.state(kept.path, thorough=self.left_open)
        with self.read() as connection:
            recorded = connection.exec_driver_sql(_RECORDED).scalar()
        self.record = kept
        self.driver.said = []
        kept.behind = (
            found is None
            or not found.whole
            or found.last != recorded
            or (found.header.head, found.header.token) != (HEAD, token)
        )
        self.tidy(report)

    def tidy(self, report: Report) -> None:
        """Write the record anew where something is missing in it, or where it has grown too large. A disk that is full
        or read-only keeps nobody from anything; an index that turns out to be damaged is mended at the next opening."""
        if self.record is None or not self.record.due():
            return
        try:
            with storage_errors(), self.write():
                self.record.write_anew(self.driver)
        except StorageFailed as error:
            if isinstance(error, StorageCorrupt):
                self.suspect()
            report("record of the index cannot be written", reason=str(error))

    def check(self, connection: Connection) -> None:
        check(connection)

    def suspect(self) -> None:
        mark_damaged(self.path)
