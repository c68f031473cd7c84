"""Which node moves an account, or is asking its legacy server: one at a time (DESIGN.md, "several nodes").

A lease is a row of an account's name, which need not be an account's yet: the first login of somebody unknown takes it
before the legacy server is asked. It belongs to a node for as long as that has its own row (`mailstore.membership`), or
until it is given back. Its number, the *fence*, is higher than that of any lease of the account before.

What a move writes is written under the fence (`holds`): in the same transaction it is looked whether the lease is still
there, and it stays there until the transaction has ended. So a node that was stopped for a minute and goes on writes
nothing of what another one does by then, however late it finds out.

PostgreSQL's alone. `take` and `give_back` are a part of their caller's transaction, as the fence is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from mailstore.errors import LeaseLost
from mailstore.membership import NOW, bury

FORGOTTEN: Final = "10s"  # a transaction of a node that is stopped in the midst of it holds the lease for no longer

_ONE_AT_A_TIME = text(
    f"SELECT set_config('idle_in_transaction_session_timeout', '{FORGOTTEN}', true), pg_advisory_xact_lock(:key)"
)
_WHO = text(f"""
    SELECT leases.fence, leases.node, nodes.name, nodes.until < {NOW} AS over
    FROM leases LEFT JOIN nodes ON nodes.id = leases.node
    WHERE leases.domain = :domain AND leases.local = :local
""")  # noqa: S608 - a constant of ours
_TAKE = text("""
    INSERT INTO leases (domain, local, node) SELECT :domain, :local, id FROM nodes WHERE id = :node RETURNING fence
""")
_REMOVE = text("DELETE FROM leases WHERE fence = :fence")
_FORGET = text("""
    DELETE FROM leases
    WHERE node = :node AND domain = :domain AND local = :local AND fence = coalesce(CAST(:fence AS bigint), fence)
""")
_HOLDS = text(f"""
    SELECT set_config('idle_in_transaction_session_timeout', '{FORGOTTEN}', true)
    FROM leases WHERE fence = :fence FOR KEY SHARE OF leases
""")  # noqa: S608
_STILL = text("SELECT 1 FROM leases WHERE fence = :fence")
_HELD = text("SELECT fence FROM leases WHERE node = :node AND fence = ANY(CAST(:fences AS bigint[]))")  # any number

Fence = Callable[[Connection], None]  # raises LeaseLost; `holds` of a lease


class Lease(NamedTuple):
    """One that was taken."""

    fence: int
    inherited: bool = False  # from a node that is dead

    def holds(self, connection: Connection) -> None:
        """A `Fence`: from here to the end of the transaction nobody else gets the lease. Raises LeaseLost."""
        if connection.execute(_HOLDS, {"fence": self.fence}).first() is None:
            raise LeaseLost("another node moves this account by now")

    def still(self, connection: Connection) -> None:
        """The same at this moment, and no longer. Raises LeaseLost."""
        if connection.execute(_STILL, {"fence": self.fence}).first() is None:
            raise LeaseLost("another node moves this account by now")


class Elsewhere(NamedTuple):
    """Another node has it."""

    node: str  # its name


def _key(domain: str, local: str) -> int:
    """A number for an account's name, as advisory locks have them."""
    digest = hashlib.sha256(f"lease {local}@{domain}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def take(connection: Connection, domain: str, local: str, node: int) -> Lease | Elsewhere:
    """The account's lease for this node, which has none of it. Raises LeaseLost where the node itself is dead."""
    named = {"domain": domain, "local": local}
    connection.execute(_ONE_AT_A_TIME, {"key": _key(domain, local)})  # so that fences grow as they are given
    who = connection.execute(_WHO, named).first()
    if who is not None and who.over:
        bury(connection)
    elif who is not None and who.name is not None and who.node != node:
        return Elsewhere(who.name)
    if who is not None:
        connection.execute(_REMOVE, {"fence": who.fence})  # waits for what its node was writing under it
    taken = connection.execute(_TAKE, {**named, "node": node}).scalar()
    if taken is None:
        raise LeaseLost("this node did not say for too long that it is there")
    return Lease(int(taken), inherited=who is not None and who.node != node)


def give_back(connection: Connection, lease: Lease) -> None:
    """Whoever wants it may have it. Harmless where it is lost."""
    connection.execute(_REMOVE, {"fence": lease.fence})


def forget(connection: Connection, node: int, domain: str, local: str, fence: int | None) -> None:
    """The same for one of which this node does not know what became when it wanted to take it, or give it back; the
    fence is None where it has not even heard of that."""
    connection.execute(_FORGET, {"node": node, "domain": domain, "local": local, "fence": fence})


def holder(connection: Connection, domain: str, local: str) -> str | None:
    """The name of the node that has the account's lease; None where nobody who lives has."""
    who = connection.execute(_WHO, {"domain": domain, "local": local}).first()
    return None if who is None or who.over or who.name is None else str(who.name)


def kept(connection: Connection, node: int, fences: list[int]) -> set[int]:
    """Those of a node's leases that it still has."""
    return set(connection.scalars(_HELD, {"node": node, "fences": fences})) if fences else set()
