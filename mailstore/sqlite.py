"""SQLite as it is used here: connections, what it refuses, and the tables of a new file.

Every writing transaction starts with BEGIN IMMEDIATE, so that two writers wait for each other and never lose an update;
WAL with synchronous=FULL, so that what was committed is on stable storage. For `mailstore.database` (all accounts) and
`mailstore.mailbox_database` (one beside each Maildir); what is refused is `mailstore.refusals`' to say.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from mailstore import counters, name_tails, notice_counters, schema
from mailstore.errors import StorageCorrupt
from mailstore.schema import HEAD

BUSY_TIMEOUT = 30.0  # seconds that a writer waits for another one
BEGIN_WRITE = "BEGIN IMMEDIATE"
_BUSY_PAUSE: Final = 0.01


def prepare(connection: sqlite3.Connection, _record: object = None) -> None:
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
            time.sleep(_BUSY_PAUSE)
        else:
            return


def _only_readable(path: Path) -> bool:
    """Is the database on a disk that may not be written, and was it closed? SQLite would want to make a log for it."""
    if not os.statvfs(path.parent).f_flag & os.ST_RDONLY:
        return False
    return not path.with_name(path.name + "-wal").exists()


def connect(
    path: Path, *, create: bool = True, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """`create`: False for a file that must be there, and is not to come into being behind somebody's back."""
    mode = "immutable=1" if _only_readable(path) else f"mode={'rwc' if create else 'rw'}"
    return sqlite3.connect(
        f"file:{quote(os.fspath(path))}?{mode}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        check_same_thread=False,
        cached_statements=128,
        factory=factory,
    )


def sqlite_engine(**options: Any) -> Engine:
    engine = create_engine("sqlite+pysqlite://", **options)
    event.listen(engine, "connect", prepare)
    return engine


def make_private(path: Path) -> None:
    """Make an empty database that only its owner may read. SQLite gives `-wal` and `-shm` the mode of the file
    that it finds, so it must be right before the first connection."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


@cache
def statements(metadata: MetaData) -> tuple[str, ...]:
    """What makes the tables of a new file."""
    made = []
    dialect = SQLiteDialect_pysqlite()
    for table in metadata.sorted_tables:
        made.append(str(CreateTable(table).compile(dialect=dialect)))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        made += [str(CreateIndex(index).compile(dialect=dialect)) for index in indexes]
    if schema.accounts.metadata is metadata:
        made += (*counters.SQLITE, *notice_counters.SQLITE, *name_tails.SQLITE)
    made.append("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    made.append(f"INSERT INTO alembic_version VALUES ('{HEAD}')")  # noqa: S608 - a constant of ours
    return tuple(made)


def bring_to_head(connection: Connection, metadata: MetaData) -> None:
    """Make the tables of a new file, or carry those of an old one forward."""
    known = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").first()
    if known is None:
        for statement in statements(metadata):
            connection.exec_driver_sql(statement)
        return
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    if row is None or not str(row[0]).isdigit():
        raise StorageCorrupt("the database is damaged: it does not say which version it is")
    if row[0] != HEAD:
        from mailstore.migrations.carry import carry_forward  # noqa: PLC0415 - alembic costs half a second

        carry_forward(connection, metadata)
