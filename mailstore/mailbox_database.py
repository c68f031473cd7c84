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

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from mailstore.barrier import Barriers
from mailstore.errors import TakesLonger
from mailstore.noting import Noting, listen
from mailstore.record import Record
from mailstore.refusals import storage_errors, translated
from mailstore.schema import mailbox_metadata
from mailstore.sqlite import BEGIN_WRITE, BUSY_TIMEOUT, bring_to_head, connect, make_private, sqlite_engine, statements

# How much a brief operation may take on: a few milliseconds each.
BRIEF_ROWS = 2_000
BRIEF_FILES = 32
BRIEF_OCTETS = 1024 * 1024

_NUMBER = "UPDATE mailboxes SET recorded = recorded + 1 RETURNING recorded"

_opening: ContextVar[Path] = ContextVar("_opening")


@cache
def new_mailbox() -> bytes:
    """The file of a mailbox database in which nothing is yet: writing it is quicker than making the tables, and there
    is one for each account."""
    with closing(sqlite3.connect(":memory:")) as made:
        for statement in statements(mailbox_metadata, create_engine("sqlite+pysqlite://")):
            made.execute(statement)
        made.commit()
        image = bytearray(made.serialize())
    image[18:20] = b"\2\2"  # it has a write-ahead log (SQLite's file format, 1.3)
    return bytes(image)


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


class MailboxDatabase:
    """One account's open index and ledger. One thread at a time.

    Transactions are begun and ended at the driver: SQLAlchemy's own, with their events and options, cost several
    times what SQLite needs. To SQLAlchemy the connection is in one transaction for as long as it is open.
    """

    def __init__(self, path: Path, connect: Callable[[], Connection], barriers: Barriers) -> None:
        self._connect = connect
        self._open: tuple[Connection, Noting] | None = None
        self.path = path
        self.log = path.with_name(path.name + "-wal")
        self.marker: Path | None = None  # a file that is there as long as the database is open
        self.left_open = False  # was that file there already?
        self.record: Record | None = None  # where what is written is recorded; None: nowhere yet
        self.barriers = barriers
        self.waits = True  # does a commit wait for the disk?
        self.lightly = False  # … and would nothing be lost if it were undone?
        self.owing = False  # may a commit be owed?
        self.owed = False  # has one been made that is not on stable storage yet?
        self.hurried = False

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

    def keep_record(self, record: Record) -> None:
        """From now on, whatever is written."""
        self.record = record
        self.driver.said = []

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
        """Whether a transaction that has to wait for another process raises TakesLonger instead: so until the first
        one that writes has ended."""
        if hurried is not self.hurried:
            self.driver.execute(f"PRAGMA busy_timeout={0 if hurried else int(BUSY_TIMEOUT * 1000)}")
            self.hurried = hurried

    def at_most(self, count: int, most: int) -> None:
        """Said before anything is changed: the operation will look at so many. Raises TakesLonger if it was to be
        brief, and they are more than `most`."""
        if self.hurried and count > most:
            raise TakesLonger

    def read(self) -> _Transaction:
        """A transaction that sees one state and changes nothing."""
        return _Transaction(self, "BEGIN")

    def write(self) -> _Transaction:
        """A transaction that is durable when the block has ended, or never was; or `owed`, if that may be."""
        self._wait(not self.owing)
        return _Transaction(self, BEGIN_WRITE)

    def _wait(self, waits: bool) -> None:
        driver = self.driver
        if waits is not self.waits:
            driver.execute("PRAGMA synchronous=" + ("FULL" if waits else "NORMAL"))
            self.waits = waits

    @contextmanager
    def write_lightly(self) -> Iterator[Connection]:
        """A transaction that a loss of power may undo, until the next `write` makes it durable too: for what can be
        computed or claimed again. The log is written in order, so no later change outlives an earlier one."""
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
