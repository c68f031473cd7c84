"""Engines and transactions.

SQLite: one file for all accounts, and one beside each Maildir for its index and ledger. Every writing
transaction starts with BEGIN IMMEDIATE, so that two writers wait for each other and never lose an update;
WAL with synchronous=FULL, so that what was committed is on stable storage.

`MailboxEngine` is shared by all accounts: one engine, one cache of compiled statements, and a connection
for each mailbox that is open. What comes out of a `MailboxDatabase` belongs to one thread at a time.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, exc
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.schema import CreateIndex, CreateTable

from mailstore.barrier import Barriers
from mailstore.errors import DiskFull, MailstoreError, StorageCorrupt, StorageFailed, TakesLonger
from mailstore.prepared import Prepared
from mailstore.schema import HEAD, accounts_metadata, mailbox_metadata

BUSY_TIMEOUT = 30.0  # seconds that a writer waits for another one
BEGIN_WRITE = "BEGIN IMMEDIATE"
BUSY_PAUSE = 0.01
SCRUB_TRIES = 3

# How much a brief operation may take on: a few milliseconds each.
BRIEF_ROWS = 2_000
BRIEF_FILES = 32
BRIEF_OCTETS = 1024 * 1024

_opening: ContextVar[Path] = ContextVar("_opening")


def _prepare(connection: sqlite3.Connection, _record: object = None) -> None:
    connection.isolation_level = None  # transactions are begun here, not guessed by the driver
    _write_ahead(connection)
    connection.execute("PRAGMA synchronous=FULL").close()


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Give the database its log. Where several open a new file at the same moment SQLite may refuse that to one of them
    at once, since two that waited for each other would wait for ever."""
    until = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(BUSY_PAUSE)
        else:
            return


def _overwrite(connection: sqlite3.Connection, _record: object = None) -> None:
    """Have what is deleted or replaced written over in the file: it may have been a sealed password."""
    connection.execute("PRAGMA secure_delete=ON").close()


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", True)
    connection.exec_driver_sql(BEGIN_WRITE if write else "BEGIN")


def _only_readable(path: Path) -> bool:
    """Is the database on a disk that may not be written, and was it closed? SQLite would want to make a log for it."""
    if not os.statvfs(path.parent).f_flag & os.ST_RDONLY:
        return False
    return not path.with_name(path.name + "-wal").exists()


def _connect(path: Path, *, create: bool = True) -> sqlite3.Connection:
    """`create`: False for a file that must be there, and is not to come into being behind somebody's back."""
    mode = "immutable=1" if _only_readable(path) else f"mode={'rwc' if create else 'rw'}"
    return sqlite3.connect(
        f"file:{quote(os.fspath(path))}?{mode}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        check_same_thread=False,
        cached_statements=128,
    )


def _sqlite_engine(**options: Any) -> Engine:
    engine = create_engine("sqlite+pysqlite://", **options)
    event.listen(engine, "connect", _prepare)
    return engine


def _is_damage(error: object) -> bool:
    """Does SQLite say that the file itself is broken, not that it cannot be used now?"""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest is the extended code
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return True
    return "Could not decode to UTF-8" in str(error)  # the driver's own: all text that went in was UTF-8


def translated(error: BaseException) -> MailstoreError | None:
    """What a refusal of the database or the disk is called here, in words without paths or values; None for others."""
    if isinstance(error, exc.DBAPIError):
        error = error.orig or error
    if isinstance(error, sqlite3.Error):
        if _is_damage(error):
            return StorageCorrupt(f"the database is damaged: {error}")
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
            return DiskFull(f"the database refused: {error}")
        return StorageFailed(f"the database refused: {error}")
    if isinstance(error, exc.DBAPIError):
        return StorageFailed(f"the database refused: {error}")
    if isinstance(error, exc.TimeoutError):
        return StorageFailed("the database is in use by too many at once")
    if isinstance(error, UnicodeDecodeError):  # SQLite's own words are of what it read
        return StorageCorrupt("the database is damaged: what should be text is none")
    if isinstance(error, OSError):
        kind = DiskFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else StorageFailed
        return kind(f"the disk refused: {error.strerror or type(error).__name__}")
    return None


class storage_errors:
    """Turn what the database and the disk refuse into StorageFailed."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is not None and (failed := translated(error)) is not None:
            raise failed from error


def contradicts_itself(failed: StorageFailed) -> bool:
    """Was it a row that should not be there? We look before we write: then an index of the database is damaged."""
    cause = failed.__cause__
    return isinstance(getattr(cause, "orig", cause), sqlite3.IntegrityError)


def _make_private(path: Path) -> None:
    """Make an empty database that only its owner may read. SQLite gives `-wal` and `-shm` the mode of the file
    that it finds, so it must be right before the first connection."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _statements(metadata: MetaData, engine: Engine) -> list[str]:
    made = []
    for table in metadata.sorted_tables:
        made.append(str(CreateTable(table).compile(engine)))
        made += [str(CreateIndex(index).compile(engine)) for index in sorted(table.indexes, key=lambda i: str(i.name))]
    made.append("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    made.append(f"INSERT INTO alembic_version VALUES ('{HEAD}')")  # noqa: S608 - a constant of ours
    return made


@cache
def new_mailbox() -> bytes:
    """The file of a mailbox database in which nothing is yet: writing it is quicker than making the tables, and there
    is one for each account."""
    with closing(sqlite3.connect(":memory:")) as made:
        for statement in _statements(mailbox_metadata, create_engine("sqlite+pysqlite://")):
            made.execute(statement)
        made.commit()
        image = bytearray(made.serialize())
    image[18:20] = b"\2\2"  # it has a write-ahead log (SQLite's file format, 1.3)
    return bytes(image)


def _bring_to_head(connection: Connection, metadata: MetaData) -> None:
    """Make the tables of a new file, or carry those of an old one forward."""
    known = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").first()
    if known is None:
        for statement in _statements(metadata, connection.engine):
            connection.exec_driver_sql(statement)
        return
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    if row is None or not str(row[0]).isdigit():
        raise StorageCorrupt("the database is damaged: it does not say which version it is")
    if row[0] != HEAD:
        from mailstore.migrations.carry import carry_forward  # noqa: PLC0415 - alembic costs half a second

        carry_forward(connection, metadata)


class AccountsDatabase:
    """The installation's one database of accounts. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises StorageFailed."""
        self._lookup = threading.Lock()
        self._looking: Connection | None = None
        self._path = path
        with storage_errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_private(path)  # it holds password hashes
            self._engine = _sqlite_engine(
                creator=lambda: _connect(path), poolclass=QueuePool, pool_size=4, max_overflow=16
            )
            event.listen(self._engine, "connect", _overwrite)
            event.listen(self._engine, "begin", _begin)
            try:
                with self.write() as connection:
                    _bring_to_head(connection, accounts_metadata)
            except BaseException:
                self.close()
                raise

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with (
            storage_errors(),
            self._engine.connect().execution_options(write=False) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with storage_errors(), self._engine.begin() as connection:
            yield connection

    def first(self, statement: Prepared, parameters: Mapping[str, Any]) -> Any:
        """The first row of one statement by itself, as a tuple, or None: ten times as quick as in a `read`."""
        with storage_errors(), self._lookup:
            if self._looking is None:
                self._looking = self._engine.connect()
            return statement.first(self._looking, parameters)

    def version(self) -> int:
        """Another number whenever another connection, of whichever process, has changed something: two microseconds."""
        with storage_errors(), self._lookup:
            if self._looking is None:
                self._looking = self._engine.connect()
            driver = self._looking.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            return int(driver.execute("PRAGMA data_version").fetchone()[0])

    def scrub(self) -> None:
        """Have nothing left in the file, or in its log, of what is no longer in the tables: the file is written anew
        and the log emptied. Others wait meanwhile, for a second where there are 100,000 accounts. Raises StorageFailed
        where they do not let it happen."""
        with storage_errors(), closing(_connect(self._path, create=False)) as driver:
            _prepare(driver)
            driver.execute("VACUUM")
            for _ in range(SCRUB_TRIES):  # each waits BUSY_TIMEOUT for whoever reads or writes
                busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    return
        raise StorageFailed("the database is read all the time, so that its log cannot be emptied; try it again")

    def close(self) -> None:
        if self._looking is not None:
            self._looking.close()
        self._engine.dispose()


def commit(driver: sqlite3.Connection) -> None:
    """The end of every transaction that changed something in a mailbox: the moment from which it is kept."""
    driver.commit()


class MailboxEngine:
    """Opens the databases beside the Maildirs."""

    def __init__(self) -> None:
        self.barriers = Barriers()
        self._engine = _sqlite_engine(creator=lambda: _connect(_opening.get(), create=False), poolclass=NullPool)

    def open(self, path: Path) -> MailboxDatabase:
        """Open the file, made from the schema if it is not there; its directory must be. Raises StorageFailed."""
        with storage_errors():
            _make_private(path)  # it tells who has which messages
            database = MailboxDatabase(path, lambda: self._connect(path), self.barriers)
            try:
                read_only = os.statvfs(path.parent).f_flag & os.ST_RDONLY
                with database.read() if read_only else database.write() as connection:
                    _bring_to_head(connection, mailbox_metadata)
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
        database = self._database
        begun = time.perf_counter()
        commit(self._driver)
        if database.waits:
            database.barriers.took(time.perf_counter() - begun)
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
        self._open: tuple[Connection, sqlite3.Connection] | None = None
        self.log = path.with_name(path.name + "-wal")
        self.marker: Path | None = None  # a file that is there as long as the database is open
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
    def driver(self) -> sqlite3.Connection:
        """As `connection`."""
        return self._awake()[1]

    def _awake(self) -> tuple[Connection, sqlite3.Connection]:
        if self._open is None:
            with storage_errors():
                connection = self._connect()
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            self._open = connection, driver
            self.mark()
            self.hurried, self.waits = False, True
        return self._open

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
