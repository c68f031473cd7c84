"""Which nodes there are: processes that move accounts, each with a row that it puts off the end of again and again.

    joined ── renewed every few seconds ──→ … ──→ left
       └── not renewed in time: buried by whoever notices, for good

The end is by the database server's clock, so that nodes whose clocks differ agree on who lives. It is final: a row that
is past its end is removed before anything is taken of what its node had, and a node that finds its row removed knows
that it has lost all of it, whatever it was doing meanwhile. What it had goes with its row: leases and places count only
while their node has one.

The accounts that a dead node was moving are due at once: whichever node looks first goes on at the last barrier.

PostgreSQL's alone. Each function is a part of its caller's transaction.
"""

from __future__ import annotations

import socket
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

# A constant of ours in every statement of this module, and of those upon it.
NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"  # milliseconds since 1970

_JOIN = text(f"INSERT INTO nodes (name, since, until) VALUES (:name, {NOW}, {NOW} + :long) RETURNING id")  # noqa: S608
_RENEW = text(f"UPDATE nodes SET until = {NOW} + :long WHERE id = :id AND until >= {NOW} RETURNING id")  # noqa: S608
_LEAVE = text("DELETE FROM nodes WHERE id = :id")
_BURY = text(f"DELETE FROM nodes WHERE until < {NOW} RETURNING id, name")  # noqa: S608 - a constant of ours
_EVERY = text(f"SELECT id, name, since, until - {NOW} AS left FROM nodes ORDER BY id")  # noqa: S608 - as above

# As `Account.movable` has it; words of `mailstore.accounts`, which stands on this.
_GO_ON = text(f"""
    UPDATE accounts SET due = {NOW} / 1000
    FROM leases
    WHERE leases.node = :id AND accounts.domain = leases.domain AND accounts.local = leases.local
      AND accounts.due IS NULL AND accounts.sealed_password IS NOT NULL
      AND accounts.password_state <> 'rejected'
      AND (accounts.state IN ('moving', 'moved') OR accounts.asked IS NOT NULL)
""")  # noqa: S608 - a constant of ours
# One that is held by a transaction of its dead node is swept the next time.
_SWEEP = tuple(
    text(f"""
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {table} WHERE NOT EXISTS (SELECT FROM nodes WHERE nodes.id = {table}.node)
        FOR UPDATE SKIP LOCKED))
    """)  # noqa: S608 - names of tables
    for table in ("leases", "places")
)


class Node(NamedTuple):
    """One that lives. Milliseconds."""

    id: int
    name: str
    since: int
    left: int  # until it is dead, unless it puts that off


def here() -> str:
    """How the names of this machine's nodes begin."""
    return f"{socket.gethostname()} ("


def join(connection: Connection, name: str, long: int) -> int:
    """A new node's number; it lives for so many milliseconds."""
    return int(connection.execute(_JOIN, {"name": name, "long": long}).scalar_one())


def renew(connection: Connection, node: int, long: int) -> bool:
    """Does it live for so long from now? Not where it was dead already."""
    return connection.execute(_RENEW, {"id": node, "long": long}).first() is not None


def leave(connection: Connection, node: int) -> None:
    """It has nothing any more: what it moved goes on elsewhere."""
    connection.execute(_GO_ON, {"id": node})
    connection.execute(_LEAVE, {"id": node})


def bury(connection: Connection) -> list[str]:
    """Remove the rows of the dead; their names. What they moved is due."""
    dead = connection.execute(_BURY).all()
    for row in dead:
        connection.execute(_GO_ON, {"id": row.id})
    return [row.name for row in dead]


def sweep(connection: Connection) -> None:
    """Remove what those had who are gone."""
    for statement in _SWEEP:
        connection.execute(statement)


def every(connection: Connection) -> list[Node]:
    """Those that have a row."""
    return [Node(row.id, row.name, row.since, row.left) for row in connection.execute(_EVERY)]
