"""Opening a mailbox's index, whatever state its file is in.

A file that SQLite calls damaged is set aside as `….corrupt-N` with what belongs to it, never deleted, and so is one
that is older than the record beside it. A new one is made, which `mailstore.beginning` fills. A file that is found to
be a copy is looked at as a whole: one that was made while the index was in use may be of several moments.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import finalize

from sqlalchemy import Connection, select

from mailstore import record, schema
from mailstore.errors import StorageCorrupt
from mailstore.index import salvage
from mailstore.mailbox_database import MailboxDatabase, MailboxEngine, check, damaged_marker, new_mailbox
from mailstore.prepared import Prepared
from mailstore.record import State
from mailstore.refusals import storage_errors

_BESIDE = ("-wal", "-shm")  # SQLite's own files of a database
_HEADER = 100  # octets
_SCHEMA_FORMAT = 4  # the highest there is
_LOG_HEADER = 32  # octets (SQLite's file format, 4.1)
_LOG_MAGIC = {b"\x37\x7f\x06\x82": "<", b"\x37\x7f\x06\x83": ">"}  # … and the byte order of its check sums
_AGE = Prepared(select(schema.mailboxes.c.token, schema.mailboxes.c.recorded, schema.mailboxes.c.inode))
_WITHOUT_INBOX = """
    SELECT 1 FROM mailboxes AS m
    WHERE m.token = ''
    OR NOT EXISTS (SELECT 1 FROM folders AS f WHERE f.account_id = m.account_id AND f.id = 1 AND f.directory = '')
    OR NOT EXISTS (SELECT 1 FROM folders AS f WHERE f.account_id = m.account_id AND f.name = 'INBOX' AND +f.id = 1)
"""


def open_index(engine: MailboxEngine, path: Path, report: Any) -> MailboxDatabase:
    """Raises StorageFailed."""
    found = _inode(path)
    if found is not None and _log_is_lost(path):
        _set_aside(path, found, "index has lost its log and is set aside", report)
    if not path.exists():
        with storage_errors():
            _make(path)
    found = _inode(path)
    marker = _open_marker(path)
    left_open = marker.exists()
    try:
        database = _opened(engine, path)
    except OlderThanRecord:
        _set_aside(path, found, "index is older than its record and is set aside", report)
        database = engine.open(path)
    except StorageCorrupt:
        _set_aside(path, found, "index was damaged and is set aside", report)
        database = engine.open(path)
    database.marker, database.left_open = marker, left_open
    database.mark()
    finalize(database, _forget_marker, database.marker)  # where the program ends without having closed it
    return database


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _log_is_lost(path: Path) -> bool:
    """Was the index not closed, and is its log not there all the same?

    What was committed last is in the log alone. Without it the index would be as it was before, and give UIDs out a
    second time. Other processes open and close the index meanwhile: the log is there before the marker is, and goes
    after it, so what is seen twice in this order is so.
    """
    return all(_looks_lost(path) and _open_marker(path).exists() for _ in range(2))


def _looks_lost(path: Path) -> bool:
    try:
        with path.with_name(path.name + "-wal").open("rb") as log:
            header = log.read(_LOG_HEADER)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return len(header) == _LOG_HEADER and not _is_log(header)


def _is_log(header: bytes) -> bool:
    """Would SQLite take it for one? An empty log has no header yet."""
    order = _LOG_MAGIC.get(header[:4])
    if order is None:
        return False
    one = other = 0
    for first, second in struct.iter_unpack(f"{order}2I", header[:24]):
        one = (one + first + other) & 0xFFFFFFFF
        other = (other + second + one) & 0xFFFFFFFF
    return struct.unpack(">2I", header[24:]) == (one, other)


def _open_marker(path: Path) -> Path:
    return path.with_name(path.name + ".open")


def _forget_marker(marker: Path) -> None:
    with suppress(OSError):
        marker.unlink()


class OlderThanRecord(StorageCorrupt):
    """What the record has was written after what the index has."""


def _opened(engine: MailboxEngine, path: Path) -> MailboxDatabase:
    """Raises StorageCorrupt, OlderThanRecord, with the database closed."""
    if not _header_is_sound(path):
        raise StorageCorrupt("the database is damaged: its header is none")
    recorded = record.state(record.record_path(path), thorough=False)  # first: it is never ahead
    database = engine.open(path)
    try:
        with database.read() as connection:
            _look_at_age(connection, path, recorded)
        if damaged_marker(path).exists():
            with database.read() as connection:
                check(connection)
            damaged_marker(path).unlink(missing_ok=True)
        with database.read() as connection:
            _look_for_inbox(connection)
    except BaseException:
        database.close()
        raise
    return database


def _look_at_age(connection: Connection, path: Path, recorded: State | None) -> None:
    """Raises OlderThanRecord, and StorageCorrupt for a copy that is not whole."""
    row = _AGE.first(connection, {})
    if row is None:
        return
    token, number, inode = row
    if recorded is not None and recorded.header.token == token and recorded.last > number:
        raise OlderThanRecord("the index is older than its record")
    if inode is not None and inode != _inode(path):
        check(connection)


def _header_is_sound(path: Path) -> bool:
    """As SQLite writes it here (its file format, 1.3). What it makes of another one is not always called damage: a
    version that it does not know, a file that may only be read."""
    with storage_errors(), path.open("rb") as file:
        header = file.read(_HEADER)
    if not header:
        return True  # new
    versions, fractions = set(header[18:20]), header[21:24]
    schema_format, encoding = int.from_bytes(header[44:48], "big"), int.from_bytes(header[56:60], "big")
    return (
        len(header) == _HEADER
        and header.startswith(b"SQLite format 3\0")
        and versions <= {1, 2}
        and fractions == bytes((64, 32, 32))
        and schema_format <= _SCHEMA_FORMAT
        and encoding <= 1  # UTF-8
    )


def _look_for_inbox(connection: Connection) -> None:
    """By either way to it: of all that may be damaged, this is what nothing works without. Raises StorageCorrupt."""
    if connection.exec_driver_sql(_WITHOUT_INBOX).first() is not None:
        raise StorageCorrupt("the database is damaged: there is no INBOX")


def _make(path: Path) -> None:
    """A new index. A database that somebody removed may have left its log, which is no other's: that goes first, under
    a lock, since another process may be opening the same mailbox."""
    with _alone_in(path.parent):
        if path.exists():
            return
        for suffix in _BESIDE:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        _open_marker(path).unlink(missing_ok=True)
        made = path.with_name(path.name + ".made")
        made.unlink(missing_ok=True)  # a crash left it
        try:
            with open(made, "xb", opener=lambda name, mode: os.open(name, mode, 0o600)) as file:
                file.write(new_mailbox())
                file.flush()
                os.fsync(file.fileno())
            made.rename(path)
        except BaseException:
            made.unlink(missing_ok=True)
            raise


def _set_aside(path: Path, found: int | None, why: str, report: Any) -> None:
    """Unless another process has done so: then there is another file by now than was `found`. Raises StorageFailed."""
    with storage_errors(), _alone_in(path.parent):
        if _inode(path) != found:
            return
        aside = salvage.free_name(path)
        path.rename(aside)
        for suffix in _BESIDE:
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
        damaged_marker(path).unlink(missing_ok=True)
        _open_marker(path).unlink(missing_ok=True)
    report(why, file=aside.name)


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """No other process opens an index there for the first time, or sets one aside, within the block."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
