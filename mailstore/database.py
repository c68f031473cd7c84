"""Engines and transactions.

SQLite: one file for all accounts, and one beside each Maildir for its index and ledger. Every writing
transaction starts with BEGIN IMMEDIATE, so that two writers wait for each other and never lose an update;
WAL with synchronous=FULL, so that what was committed is on stable storage.

`MailboxEngine` is shared by all accounts: one engine, one cache of compiled statements, and a connection
for each mailbox that is open. What comes out of a `MailboxDatabase` belongs to one thread at a time.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, exc
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.schema import CreateIndex, CreateTable

from mailstore.errors import StorageCorrupt, StorageFailed
from mailstore.schema import HEAD, accounts_metadata, mailbox_metadata

BUSY_TIMEOUT = 30.0  # seconds that a writer waits for another one

_opening: ContextVar[Path] = ContextVar("_opening")


def _prepare(connection: sqlite3.Connection, _record: object = None) -> None:
    connection.isolation_level = None  # transactions are begun here, not guessed by the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _only_readable(path: Path) -> bool:
    """Is the database on a disk that may not be written, and was it closed? SQLite would want to make a log for it."""
    if not os.statvfs(path.parent).f_flag & os.ST_RDONLY:
        return False
    return not path.with_name(path.name + "-wal").exists()


def _connect(path: Path) -> sqlite3.Connection:
    if _only_readable(path):
        return sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False)
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT, check_same_thread=False, cached_statements=64)


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


@contextmanager
def storage_errors() -> Iterator[None]:
    """Turn what the database and the disk refuse into StorageFailed, in words without paths or values."""
    try:
        yield
    except exc.DBAPIError as error:
        if _is_damage(error.orig):
            raise StorageCorrupt(f"the database is damaged: {error.orig}") from error
        raise StorageFailed(f"the database refused: {error.orig}") from error
    except exc.TimeoutError as error:
        raise StorageFailed("the database is in use by too many at once") from error
    except sqlite3.Error as error:
        if _is_damage(error):
            raise StorageCorrupt(f"the database is damaged: {error}") from error
        raise StorageFailed(f"the database refused: {error}") from error
    except UnicodeDecodeError as error:  # SQLite's own words are of what it read
        raise StorageCorrupt("the database is damaged: what should be text is none") from error
    except OSError as error:
        raise StorageFailed(f"the disk refused: {error.strerror or type(error).__name__}") from error


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


def _bring_to_head(connection: Connection, metadata: MetaData) -> None:
    """Make the tables of a new file, or carry those of an old one forward."""
    known = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").first()
    if known is None:
        for statement in _statements(metadata, connection.engine):
            connection.exec_driver_sql(statement)
        return
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    if row is None or row[0] != HEAD:
        from mailstore.migrations.carry import carry_forward  # noqa: PLC0415 - alembic costs half a second

        carry_forward(connection, metadata)


class AccountsDatabase:
    """The installation's one database of accounts. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises StorageFailed."""
        with storage_errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _make_private(path)  # it holds password hashes
            self._engine = _sqlite_engine(
                creator=lambda: _connect(path), poolclass=QueuePool, pool_size=4, max_overflow=16
            )
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

    def close(self) -> None:
        self._engine.dispose()


def commit(driver: sqlite3.Connection) -> None:
    """The end of every transaction on a mailbox: the moment from which it is kept."""
    driver.commit()


class MailboxEngine:
    """Opens the databases beside the Maildirs."""

    def __init__(self) -> None:
        self._engine = _sqlite_engine(creator=lambda: _connect(_opening.get()), poolclass=NullPool)

    def open(self, path: Path) -> MailboxDatabase:
        """Open the file, made from the schema if it is not there; its directory must be. Raises StorageFailed."""
        token = _opening.set(path)
        try:
            with storage_errors():
                _make_private(path)  # it tells who has which messages
                connection = self._engine.connect()
                database = MailboxDatabase(connection)
                try:
                    read_only = os.statvfs(path.parent).f_flag & os.ST_RDONLY
                    with database.read() if read_only else database.write():
                        _bring_to_head(connection, mailbox_metadata)
                except BaseException:
                    connection.close()
                    raise
                return database
        finally:
            _opening.reset(token)


class MailboxDatabase:
    """One account's open index and ledger. One thread at a time.

    Transactions are begun and ended at the driver: SQLAlchemy's own, with their events and options, cost several
    times what SQLite needs. To SQLAlchemy the connection is in one transaction for as long as it is open.
    """

    closing: Callable[[], object] = staticmethod(lambda: None)  # called before each close

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def _driver(self) -> sqlite3.Connection:
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return driver

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state and changes nothing."""
        with storage_errors(), self._transaction("BEGIN"):
            yield self._connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is durable when the block has ended, or never was."""
        with storage_errors(), self._transaction("BEGIN IMMEDIATE"):
            yield self._connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        driver = self._driver
        driver.execute(begin)
        try:
            yield
            commit(driver)
        except BaseException:
            driver.rollback()  # nothing, where SQLite has done so by itself
            raise

    @contextmanager
    def write_lightly(self) -> Iterator[Connection]:
        """A transaction that a loss of power may undo, until the next `write` makes it durable too: for what can be
        computed or claimed again. The log is written in order, so no later change outlives an earlier one."""
        with storage_errors():
            self._driver.execute("PRAGMA synchronous=NORMAL")
        try:
            with self.write() as connection:
                yield connection
        finally:
            with storage_errors():
                self._driver.execute("PRAGMA synchronous=FULL")

    def close(self) -> None:
        self.closing()
        self._connection.close()
