"""Wrong passwords that legacy servers were asked about, by all nodes together: after so many a server may lock the real
user out (`proxy.login.throttle`).

PostgreSQL's alone. Each function is a part of its caller's transaction.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, text

from mailstore.membership import NOW

_COUNT = text(f"SELECT count(*) FROM said_no WHERE mailbox = :mailbox AND at > {NOW} - :long")  # noqa: S608
_ADD = text(f"INSERT INTO said_no (mailbox, at) VALUES (:mailbox, {NOW})")  # noqa: S608 - constants of ours
_FORGET: Final = text("DELETE FROM said_no WHERE mailbox = :mailbox")
_SWEEP = text(f"DELETE FROM said_no WHERE at <= {NOW} - :long")  # noqa: S608


def count(connection: Connection, mailbox: str, seconds: float) -> int:
    """How often a mailbox's server said no within the last seconds."""
    return int(connection.execute(_COUNT, {"mailbox": mailbox, "long": int(seconds * 1000)}).scalar_one())


def add(connection: Connection, mailbox: str) -> None:
    """It has said no, just now."""
    connection.execute(_ADD, {"mailbox": mailbox})


def forget(connection: Connection, mailbox: str) -> None:
    """It has said yes."""
    connection.execute(_FORGET, {"mailbox": mailbox})


def sweep(connection: Connection, seconds: float) -> None:
    """Forget what was longer ago."""
    connection.execute(_SWEEP, {"long": int(seconds * 1000)})
