"""Test accounts whose whole move was verified: one for each domain, and with which settings of its legacy server.

What that means for the domain is `proxy.admin.proving`'s to say. Every method is one transaction and may be called from
any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from mailstore.database import AccountsDatabase
from mailstore.schema import proofs
from mailstore.turns import Turn


@dataclass(frozen=True, slots=True)
class Proof:
    """One domain's."""

    domain: str
    account: str  # li@123.com
    proven: int  # seconds since 1970
    settings: str  # of the legacy server, as they were
    report: str  # JSON


class Proofs:
    """All of them. What they raise is MailstoreError."""

    def __init__(self, database: AccountsDatabase, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._clock = clock or database.time

    def all(self) -> Mapping[str, Proof]:
        """By domain."""
        with self._database.read() as connection:
            rows = connection.execute(select(proofs)).all()
        return {row.domain: Proof(**row._asdict()) for row in rows}

    def write(self, domain: str, account: str, settings: str, report: str) -> Proof:
        """From now on this is the domain's proof, in the place of the one before."""
        proof = Proof(domain, account, int(self._clock()), settings, report)
        values = {name: getattr(proof, name) for name in Proof.__slots__}
        with self._database.write(Turn.ADMINISTRATION) as connection:
            connection.execute(delete(proofs).where(proofs.c.domain == domain))
            connection.execute(insert(proofs).values(**values))
        return proof
