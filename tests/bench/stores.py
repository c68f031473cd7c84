"""A PostgreSQL for a bench: a private one that keeps what it says it keeps, and what it takes.

Its processor time is told apart from mailferry's. On a machine of its own, as it is where there are several nodes, it
takes nothing of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from tests.bench.processor import processor_seconds
from tests.postgres.server import PostgresServer

STORES: Final = ("sqlite", "postgresql")

# Those of tests keep nothing through a loss of power. What is said last holds.
_SETTINGS: Final = """
fsync = on
full_page_writes = on
synchronous_commit = on
shared_buffers = 256MB
max_wal_size = 4GB
max_connections = 100
"""


@contextmanager
def postgresql(*, settings: str = "") -> Iterator[PostgresServer]:
    """A server that waits for the disk; gone behind the block."""
    server = PostgresServer(_SETTINGS + settings)
    try:
        yield server
    finally:
        server.remove()


def storage(server: PostgresServer | None, *, more: str = "") -> str:
    """The configuration's table: a new database of the server, or without one SQLite."""
    address = "sqlite" if server is None else server.url(server.make_database())
    return f'[storage]\ndatabase = "{address}"\n{more}'


def in_turn(number: int) -> Sequence[str]:
    """Both, in another order each time, so that neither is always the one behind the other."""
    return STORES if number % 2 else STORES[::-1]


@dataclass(frozen=True)
class Work:
    """Seconds of processor time."""

    mailferry: float
    server: float

    def __sub__(self, before: Work) -> Work:
        return Work(self.mailferry - before.mailferry, self.server - before.server)

    def __truediv__(self, count: float) -> Work:
        return Work(self.mailferry / count, self.server / count)

    @property
    def both(self) -> float:
        return self.mailferry + self.server

    @staticmethod
    def so_far(daemons: Sequence[int], server: PostgresServer | None) -> Work:
        """Of these processes with their children, and of the server with all its own."""
        taken = 0.0 if server is None else processor_seconds(server.pid)
        return Work(sum(map(processor_seconds, daemons)), taken)
