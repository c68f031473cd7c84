"""Opening a mailbox's index, whatever state its file is in.

A file that SQLite calls damaged is set aside as `….corrupt-N` with what belongs to it, never deleted, and a new one
is made, which `mailstore.rebuilding` fills. Its folders then get a new UIDVALIDITY: what clients have kept under the
old one is fetched anew, and no UID means another message than before (RFC 3501 2.3.1.1).
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from mailstore.database import MailboxDatabase, MailboxEngine, storage_errors
from mailstore.errors import StorageCorrupt
from mailstore.index import salvage

_BESIDE = ("-wal", "-shm")  # SQLite's own files of a database
_WITHOUT_INBOX = """
    SELECT 1 FROM mailboxes AS m
    WHERE NOT EXISTS (SELECT 1 FROM folders AS f WHERE f.account_id = m.account_id AND f.id = 1 AND f.directory = '')
    OR NOT EXISTS (SELECT 1 FROM folders AS f WHERE f.account_id = m.account_id AND f.name = 'INBOX' AND +f.id = 1)
"""


def open_index(engine: MailboxEngine, path: Path, report: Any) -> MailboxDatabase:
    """Raises StorageFailed."""
    if not path.exists():
        with storage_errors():
            _make(path)
    try:
        return _opened(engine, path)
    except StorageCorrupt:
        aside = _set_aside(path)
        report("index was damaged and is set aside", file=aside.name)
        return engine.open(path)


def _opened(engine: MailboxEngine, path: Path) -> MailboxDatabase:
    """Raises StorageCorrupt, with the database closed."""
    database = engine.open(path)
    try:
        if _damaged_marker(path).exists():
            with database.read() as connection:
                check(connection)
            _damaged_marker(path).unlink(missing_ok=True)
        with database.read() as connection:
            _look_for_inbox(connection)
    except BaseException:
        database.close()
        raise
    return database


def _look_for_inbox(connection: Connection) -> None:
    """By either way to it: of all that may be damaged, this is what nothing works without. Raises StorageCorrupt."""
    if connection.exec_driver_sql(_WITHOUT_INBOX).first() is not None:
        raise StorageCorrupt("the database is damaged: there is no INBOX")


def mark_damaged(path: Path) -> None:
    """The next opening is to look at the whole of it."""
    with suppress(OSError):
        _damaged_marker(path).touch(mode=0o600)


def _damaged_marker(path: Path) -> Path:
    return path.with_name(path.name + ".suspect")


def check(connection: Connection) -> None:
    """Look at the whole of an index, within a transaction. Raises StorageCorrupt."""
    said = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
    if said != "ok":
        raise StorageCorrupt("the database is damaged")


def _make(path: Path) -> None:
    """An empty file. A database that somebody removed may have left its log, which is no other's: that goes first,
    under a lock, since another process may be opening the same mailbox."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        if not path.exists():
            for suffix in _BESIDE:
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            path.touch(mode=0o600)
    finally:
        os.close(directory)


def _set_aside(path: Path) -> Path:
    aside = salvage.free_name(path)
    with storage_errors():
        path.rename(aside)
        for suffix in _BESIDE:
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
        _damaged_marker(path).unlink(missing_ok=True)
    return aside
