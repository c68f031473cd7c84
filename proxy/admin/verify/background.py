"""Verifications by a daemon, which an administrator begins and does not wait for: `proxy.admin.tasks`.

    numbers of the accounts → each read and compared when its turn comes → what is found on a `Shelf` → what is proven
    by it, and the report → `Seen`, which is small

Nothing is kept of one that is stopped. What is asked of legacy servers is within the daemon's limits and behind what
users wait for; for who is paused, nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any, Final

from mailstore.accounts import Account, Accounts
from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError
from mailstore.proofs import Proof, Proofs
from mailstore.queue import Queue
from mailstore.secrets import Sealer
from proxy.admin import databases
from proxy.admin.circumstances import origin
from proxy.admin.filing import NotFiled
from proxy.admin.proving import settle
from proxy.admin.reports import Report, Reports
from proxy.admin.tasks import Task, TaskFailed
from proxy.admin.verify.comparing import DaemonsDoor, Few, compare_each
from proxy.admin.verify.filed import forms
from proxy.admin.verify.outcome import AccountOutcome, Circumstances, Verification
from proxy.admin.verify.passwords import Passwords
from proxy.admin.verify.sample import How
from proxy.admin.verify.seen import Row, Seen, Watching, numbered
from proxy.admin.verify.shelf import Shelf
from proxy.config import Config
from proxy.login.legacy import LegacyDoor
from proxy.wire.in_thread import InThread

BATCH: Final = 50  # accounts that are read together


class Verifying:
    """Of one daemon. Called in the reactor's thread."""

    def __init__(
        self,
        config: Config,
        database: AccountsDatabase,
        accounts: Accounts,
        sealer: Sealer,
        door: LegacyDoor,
        *,
        in_thread: InThread,
        reactor: Any,
    ) -> None:
        self._config = config
        self._accounts = accounts
        self._queue = Queue(database)
        self._proofs = Proofs(database)
        self._mailboxes = databases.mailboxes(database)
        self._passwords = Passwords({}, sealer, lambda account: accounts.is_paused(account.local, account.domain))
        self._door = DaemonsDoor(door)
        self._in_thread = in_thread
        self._threads = Few(in_thread)
        self._reactor = reactor
        self._watched: dict[Task, Watching] = {}

    def watched(self, task: Task) -> Watching | None:
        """How far it is, as long as it is under way."""
        return self._watched.get(task)

    async def domain(self, task: Task, domain: str, how: How) -> Seen:
        """All accounts of a domain that is served. Raises TaskFailed, MailstoreError."""
        numbers: list[int] = await self._in_thread(lambda: [account.id for account in self._accounts.list(domain)])
        if not numbers:
            raise TaskFailed(f"{domain} has no accounts yet")
        task.total = len(numbers)
        return await self._verify(Watching(task), domain, numbers, how)

    async def account(self, task: Task, account: Account, how: How) -> Seen:
        """One, of a domain that is served. Raises TaskFailed, MailstoreError."""
        return await self._verify(Watching(task, alone=True), account.domain, [account.id], how)

    async def _verify(self, watching: Watching, domain: str, numbers: Sequence[int], how: How) -> Seen:
        task, began = watching.task, time.time()
        self._watched[task] = watching
        try:
            shelf = await self._shelf()
            try:
                await self._compare(watching, domain, numbers, how, shelf)
            except BaseException:
                shelf.close()
                raise
            if not watching.totals.accounts:
                shelf.close()
                raise TaskFailed(f"{task.subject} is not known here any more")
            said = Circumstances(**origin(self._config, [task.subject], [domain], began), how=how)
            number = numbers[0] if watching.alone else None
            return await self._in_thread(self._conclude, watching, said, domain, number, shelf)
        finally:
            del self._watched[task]

    async def _shelf(self) -> Shelf:
        try:
            return await self._in_thread(Shelf, self._config.state)
        except OSError as error:
            raise TaskFailed(f"{self._config.state}: {error.strerror}") from error

    async def _compare(self, watching: Watching, domain: str, numbers: Sequence[int], how: How, shelf: Shelf) -> None:
        left = iter(numbers)

        async def more() -> list[Account]:
            while some := list(islice(left, BATCH)):
                found: list[Account] = await self._in_thread(self._fresh, some)
                watching.gone(len(some) - len(found))
                if found:
                    return found
            return []

        async def keep(outcome: AccountOutcome) -> None:
            try:
                await self._threads.run(shelf.put, outcome)
            except OSError as error:
                raise TaskFailed(f"{self._config.state}: {error.strerror}") from error

        await compare_each(
            *(self._config, domain, more, self._passwords, how, watching, keep),
            door=self._door,
            in_thread=self._threads.run,
            reactor=self._reactor,
            mailboxes=self._mailboxes,
        )

    def _fresh(self, numbers: Sequence[int]) -> list[Account]:
        """As they are now, in this order."""
        found = {account.id: account for account in self._queue.of(numbers)}
        return [found[number] for number in numbers if number in found]

    # The end, in a thread, which goes on to its own end also where nobody waits for it any more

    def _conclude(self, watching: Watching, said: Circumstances, domain: str, number: int | None, shelf: Shelf) -> Seen:
        with closing(shelf):
            found = Verification(said, shelf, watching.totals)
            proven, unsettled = self._settle(found)
            report, unkept = self._keep(found, proven, domain, number)
        rows = watching.rows()
        numbers = dict(self._numbers(rows))
        return Seen(said, watching.totals, numbered(rows, numbers), proven, report, unkept, unsettled)

    def _settle(self, found: Verification) -> tuple[list[Proof], str]:
        try:
            return settle(self._config, self._proofs, found), ""
        except MailstoreError as error:
            return [], str(error)

    def _keep(
        self, found: Verification, proven: Sequence[Proof], domain: str, number: int | None
    ) -> tuple[Report | None, str]:
        reports, ended = Reports(self._config.state), found.circumstances.ended
        try:
            return reports.keep(domain, "verify", ended, forms(found, proven), number), ""
        except NotFiled as error:
            return None, str(error)
        except OSError as error:
            return None, f"{error.filename or self._config.state}: {error.strerror}"

    def _numbers(self, rows: Sequence[Row]) -> Iterator[tuple[str, int]]:
        for row in rows:
            local, _, domain = row.account.rpartition("@")
            account = self._accounts.find(local, domain)
            if account is not None:
                yield row.account, account.id
