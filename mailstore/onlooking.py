"""An index read by somebody who only looks: nothing in its directory is changed, made or removed by it.

A daemon may have the index open at the same time, and needs none of this to be noticed. Two ways in:

- Where the index has no log, nobody has it open: its file is read as one that does not change (`immutable`), for
  SQLite would otherwise make a log and leave it behind. Whether it did not change after all is looked at when the
  reading is done, and if it did the reading is done again.
- Where there is a log, the index is opened for reading only, with its log. So opened it is never checkpointed, nor is
  the log ever removed: `mailstore.index.opening` would take an index without its log for a damaged one.

An index of a former version is read as it is, with the defaults of what it has not.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

from sqlalchemy import Column, ColumnElement, Connection, Table, create_engine, literal, literal_column, null
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import DefaultClause

from mailstore.errors import StorageCorrupt, StorageFailed
from mailstore.refusals import storage_errors
from mailstore.schema import HEAD
from mailstore.sqlite import BUSY_TIMEOUT

T = TypeVar("T")

_READINGS: Final = 10  # of an index that others open and close all the time

_State = tuple[int, int, int, bool]  # inode, octets, mtime in nanoseconds, is there a log?


def look(path: Path, read: Callable[[Connection], T]) -> T:
    """What `read` makes of the index, in one transaction. It may be called again: it has no effects.

    Raises FileNotFoundError where there is no index; StorageCorrupt, StorageFailed.
    """
    for _ in range(_READINGS):
        before = _state(path)
        if before[-1]:
            return _read(path, "mode=ro", read)
        try:
            value = _read(path, "immutable=1", read)
        except StorageFailed:
            if _state(path) == before:
                raise
            continue  # what looked damaged was being written
        if _state(path) == before:
            return value
    raise StorageFailed("the database refused: it is opened and closed all the time")


def column_of(connection: Connection, column: Column[Any]) -> ColumnElement[Any]:
    """The column, or what stands for it in an index that is older than the column."""
    if connection.dialect.name != "sqlite":  # a server's tables are carried forward before anybody looks
        return column
    assert isinstance(column.table, Table)
    name = column.table.name
    there = {row[1] for row in connection.exec_driver_sql(f"PRAGMA table_info({name})")}
    if column.name in there:
        return column
    default = column.server_default
    if not isinstance(default, DefaultClause):
        return null()
    text = str(default.arg)
    return literal_column(text) if text.lstrip("-").isdigit() else literal(text)


def _state(path: Path) -> _State:
    """Raises FileNotFoundError, StorageFailed."""
    try:
        about = path.stat()
        log = path.with_name(path.name + "-wal").exists()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageFailed(f"the disk refused: {error.strerror}") from error
    return about.st_ino, about.st_size, about.st_mtime_ns, log


def _read(path: Path, mode: str, read: Callable[[Connection], T]) -> T:
    engine = create_engine("sqlite+pysqlite://", creator=lambda: _connect(path, mode), poolclass=NullPool)
    with storage_errors(), engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        try:
            _check_version(connection)
            return read(connection)
        finally:
            connection.exec_driver_sql("ROLLBACK")


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    where = f"file:{quote(os.fspath(path))}?{mode}"
    connection = sqlite3.connect(where, uri=True, timeout=BUSY_TIMEOUT, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA query_only=ON")
    return connection


def _check_version(connection: Connection) -> None:
    row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
    if row is None or not str(row[0]).isdigit():
        raise StorageCorrupt("the database is damaged: it does not say which version it is")
    if str(row[0]) > HEAD:
        raise StorageFailed("the database is of a later version of mailferry")
