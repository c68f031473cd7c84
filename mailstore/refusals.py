"""What the database and the disk refuse, as the errors of `mailstore.errors`: for SQLite and PostgreSQL alike.

Their own words name paths and values; what is said here is fit for a client.
"""

from __future__ import annotations

import errno
import re
import sqlite3
from types import TracebackType
from typing import Final

from sqlalchemy import exc

from mailstore.errors import DiskFull, MailstoreError, StorageCorrupt, StorageFailed

# SQLSTATE (PostgreSQL, Appendix A), or its class: what it means to whoever waits for an answer.
_MEANINGS: Final = {
    "08": "the connection to it is broken",
    "25006": "it is read-only",
    "28": "it does not let mailferry in",
    "3D": "there is no such database",
    "40": "others were quicker",
    "53100": "its disk is full",
    "53300": "it has no connection left",
    "53": "it is out of something",
    "55P03": "it is locked by others",
    "57014": "it took too long",
    "57": "it is being stopped or started",
}
_DISK_FULL: Final = "53100"

# A server that does not let a connection come about says why in words alone: libpq gives no SQLSTATE of it.
_AT_THE_DOOR: Final = (
    (re.compile(r"authentication failed|no password supplied|no pg_hba\.conf entry|role .* does not exist"), "28000"),
    (re.compile(r"database .* does not exist|permission denied for database"), "3D000"),
    (re.compile(r"too many (clients|connections)|remaining connection slots"), "53300"),
    (re.compile(r"is (starting up|shutting down)|not (yet )?accepting connections|in recovery mode"), "57P03"),
)
_BROKEN: Final = "08006"
# It may be otherwise in a moment, with nobody doing anything about it here.
_PASSES: Final = ("08", "25006", "40", "53", "55P03", "57")


def _state(error: object) -> str | None:
    """The SQLSTATE of what PostgreSQL's driver raised, "08006" where the connection went without one; None for what is
    not its. The driver is not imported for that: where SQLite is in use it is not there."""
    if not any(kind.__module__ in {"psycopg", "psycopg.errors"} for kind in type(error).__mro__):
        return None
    if said := getattr(error, "sqlstate", None):
        return str(said)
    words = str(error)
    return next((state for pattern, state in _AT_THE_DOOR if pattern.search(words)), _BROKEN)


def _said(state: str) -> MailstoreError:
    words = _MEANINGS.get(state) or _MEANINGS.get(state[:2]) or f"SQLSTATE {state}"
    kind = DiskFull if state == _DISK_FULL else StorageFailed
    return kind(f"the database refused: {words}")


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
    if (state := _state(error)) is not None:
        return _said(state)
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


def _cause(failed: MailstoreError) -> object:
    cause = failed.__cause__
    return getattr(cause, "orig", None) or cause


def of_a_server(failed: MailstoreError) -> bool:
    """Was it PostgreSQL, or the way to it, and no disk of this machine?"""
    cause = _cause(failed)
    return isinstance(cause, exc.TimeoutError) or _state(cause) is not None


def passes(failed: MailstoreError) -> bool:
    """Is a server away, or busy, so that it is worth waiting for? Not, where it is spoken to and says no."""
    cause = _cause(failed)
    if isinstance(cause, exc.TimeoutError):
        return True
    state = _state(cause)
    return state is not None and state.startswith(_PASSES)


def in_detail(failed: MailstoreError) -> str:
    """The same for the administrator, with what the server or its driver said. It names hosts and users, and never a
    password."""
    said = _cause(failed)
    words = " ".join(str(said).split()) if _state(said) is not None else ""
    return f"{failed} ({words})" if words else str(failed)


def contradicts_itself(failed: StorageFailed) -> bool:
    """Was it a row that should not be there? We look before we write: then an index of the database is damaged."""
    cause = failed.__cause__
    return isinstance(getattr(cause, "orig", cause), sqlite3.IntegrityError)
