"""A company of any size in the accounts' table, and moves that take time on a clock and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstore import schema
from mailstore.accounts import Account, Accounts
from mailstore.database import AccountsDatabase
from mailstore.queue import Queue
from proxy import config
from proxy.legacy.errors import LegacyBusy, LegacyError
from proxy.login.legacy import LegacyDoor
from proxy.login.rounds import Rounds
from proxy.migration.moves import Moves
from proxy.migration.schedule import Errand
from tests.proxy.migration.scripted import direct

NOW = 1_700_000_000
ROUND = 6 * 3_600
CONFIG = """
hostname = "mail.example"
state = "{state}"
[listen]
imap = ["tcp:143"]
"""
DOMAIN = """
[domain."{name}".legacy]
host = "{host}"
connections = {connections}
"""


class NoLog:
    """A logger that keeps nothing."""

    def info(self, event: str, **fields: Any) -> None: ...

    warning = error = info


class Simulated:
    """Stands for `proxy.login.mover.Mover`: each move has a place at its host for `seconds`.

    A host that `allows` fewer connections than its schedule says so to each one more.
    """

    def __init__(self, company: Company, seconds: float, allows: int) -> None:
        self.moves = Moves()
        self.done: Counter[str] = Counter()  # by domain
        self.order: list[str] = []
        self.inside: Counter[str] = Counter()  # by host
        self.most: Counter[str] = Counter()
        self.refused = 0
        self._company = company
        self._seconds = seconds
        self._allows = allows

    def apart(self, work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[None]:
        return Deferred.fromCoroutine(work)

    async def in_background(self, account: Account, errand: Errand) -> LegacyError | None:
        host = self._company.door.host_of(account.domain)
        place = await host.schedule.acquire(errand)
        if self.inside[host.name] >= self._allows:
            self.refused += 1
            place.busy()
            place.release()
            self._company.accounts.interrupted(account.id, "busy", 60)
            return LegacyBusy("busy")
        place.welcomed()
        self.inside[host.name] += 1
        self.most[host.name] = max(self.most[host.name], self.inside[host.name])
        ended: Deferred[None] = Deferred()
        self._company.clock.callLater(self._seconds, ended.callback, None)
        await ended
        self.inside[host.name] -= 1
        self.done[account.domain] += 1
        self.order.append(account.name)
        self._company.accounts.moved(account.id, "", ROUND)
        place.release()
        return None


class Company:
    """Everything but the moves is real."""

    def __init__(
        self, state: Path, domains: dict[str, str], *, connections: int = 20, seconds: float = 10, allows: int = 10_000
    ) -> None:
        """`domains` to their hosts."""
        text = CONFIG.format(state=state) + "".join(
            DOMAIN.format(name=name, host=host, connections=connections) for name, host in domains.items()
        )
        self.clock = Clock()
        self.door = LegacyDoor(config.parse(text.encode()), self.clock)
        self.database = AccountsDatabase(state / "accounts.db")
        self.accounts = Accounts(self.database, clock=self.now)
        self.queue = Queue(self.database, clock=self.now)
        self.mover = Simulated(self, seconds, allows)
        mover: Any = self.mover
        self.rounds = Rounds(
            self.door.hosts,
            self.queue,
            mover,
            clock=self.clock,
            in_thread=direct,
            log=NoLog(),
            every=ROUND,
            now=self.now,
        )

    def now(self) -> float:
        return NOW + self.clock.seconds()

    def hire(self, domain: str, count: int, *, asked: bool = False, state: str = "moving") -> None:
        """So many accounts that are due."""
        row = {"domain": domain, "state": state, "created": NOW, "sealed_password": b"x", "due": NOW}
        rows = [row | {"local": f"u{n}", "asked": NOW if asked else None} for n in range(count)]
        with self.database.write() as connection:
            connection.execute(insert(schema.accounts), rows)

    def begin(self) -> None:
        Deferred.fromCoroutine(self.rounds.start())

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)

    def end(self) -> None:
        Deferred.fromCoroutine(self.rounds.stop())
        self.database.close()
