"""Moves that nobody waits for: those that were interrupted, those that an administrator asked for, and a look at each
mailbox from time to time.

The queue is the accounts' table (`mailstore.queue`). Only as many accounts are taken out of it as their host has places
for now; of the others nothing is kept here but when the first of each domain is due. Once a second it is asked whether
another process has written to the database, which takes microseconds; only then, or when somebody is due and there is
room, the database is read. So ten thousand accounts that wait cost neither memory nor time.

A host that cannot be reached is tried by one account at a time, ever more seldom. When it stays so, those that an
administrator has asked for are told, all at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstore.accounts import Account
from mailstore.errors import MailstoreError
from mailstore.queue import Queue
from proxy.login.asking import ask
from proxy.login.legacy import LegacyHost
from proxy.login.mover import Mover
from proxy.login.outcomes import Log
from proxy.migration.schedule import Errand, Urgency
from proxy.wire import trace
from proxy.wire.in_thread import InThread

LOOK: Final = 1.0  # seconds between two looks whether there is news
FAILED: Final = 3  # times in a row that a host could not be asked, after which nobody is kept waiting for it
PUT_OFF: Final = 300  # seconds, and up to twice as many, for which they are put off


class Rounds:
    """The background of one process."""

    def __init__(
        self,
        hosts: Iterable[LegacyHost],
        queue: Queue,
        mover: Mover,
        *,
        clock: IReactorTime,
        in_thread: InThread,
        log: Log,
        every: int,
        asked_only: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`every`: seconds of a round, 0 for none. `asked_only`: nothing is moved but what was asked for. `now` is the
        time of day, as the queue has it."""
        self._hosts = list(hosts)
        self._domains = [domain for host in self._hosts for domain in host.domains]
        self._queue = queue
        self._mover = mover
        self._clock = clock
        self._in_thread = in_thread
        self._log = log
        self._every = every
        self._asked_only = asked_only
        self._now = now
        self._earliest: dict[str, int] = {}  # by domain: when somebody is due there
        self._version = -1
        self._timer: IDelayedCall | None = None
        self._looking = self._again = self._stopped = self._resting = False
        self._begun = asked_only
        self._asking = False  # is it being asked whether there is news?
        self._looked: Deferred[None] | None = None  # for the end of a look, at the end
        for host in self._hosts:
            host.schedule.spare_place = self._room

    async def start(self) -> None:
        """Go on with what was interrupted, and go on looking. Raises MailstoreError; a server that is away is asked
        again."""
        try:
            await self._begin()
        except MailstoreError as error:
            if self._queue.instant:
                raise
            self._log.error("store failed", reason=str(error))
        self._tick()

    async def _begin(self) -> None:
        if not self._begun:
            await self._in_thread(self._queue.begin, self._every)
            self._begun = True

    async def stop(self) -> None:
        """Begin nothing more. Moves that are under way are the mover's to end."""
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._looking:
            self._looked = Deferred()
            await self._looked

    def rest(self) -> None:
        """Begin nothing until `go_on`."""
        self._resting = True

    def go_on(self) -> None:
        """… and as before."""
        self._resting = False
        self._version = -1  # whatever came up meanwhile

    def _tick(self) -> None:
        self._timer = self._clock.callLater(LOOK, self._tick)
        if not self._asking:
            self._asking = True
            self._mover.apart(self._look_for_news())

    async def _look_for_news(self) -> None:
        try:
            await self._begin()
            version = await ask(self._queue, self._in_thread, self._queue.version)
        except MailstoreError as error:
            self._log.error("store failed", reason=str(error))
            return
        finally:
            self._asking = False
        if version != self._version or any(self._wanted(host) for host in self._hosts):
            self._version = version
            self.look()

    def _wanted(self, host: LegacyHost) -> bool:
        """Is somebody due there, and is there room? Where there is none because other nodes have it, they are told."""
        schedule = host.schedule
        if self._resting or (schedule.share is None and not schedule.spare):
            return False
        now = self._now()
        due = any(self._earliest.get(domain, now + 1) <= now for domain in host.domains)
        if due is not schedule.more_due and schedule.share is not None:
            schedule.more_due = due
            schedule.demand()
        return due and schedule.spare > 0

    def _room(self) -> None:
        """A place has become free somewhere."""
        if not self._stopped and any(self._wanted(host) for host in self._hosts):
            self.look()

    def look(self) -> None:
        """See what is due, and begin as much as there is room for. What comes up meanwhile is seen by the same look."""
        if self._looking:
            self._again = True
        elif not self._stopped:
            self._looking = True
            self._mover.apart(self._look())

    async def _look(self) -> None:
        try:
            more = True
            while more and not self._stopped:
                self._again = False
                await self._stop_paused()
                self._earliest = await self._in_thread(self._queue.outlook, self._domains)
                begun = [await self._fill(host) for host in self._hosts if self._wanted(host)]
                more = any(begun) or self._again
        finally:
            self._looking = False
            if self._looked is not None:
                self._looked.callback(None)

    async def _stop_paused(self) -> None:
        running = self._mover.moves.accounts()
        if running:
            for number in await self._in_thread(self._queue.paused_of, running):
                self._mover.pause(number)

    async def _fill(self, host: LegacyHost) -> bool:
        """Begin what there is room for at a host. Has anything been begun?"""
        taken = await self._in_thread(self._take, list(host.domains), host.schedule.spare)
        errands = [Errand(a.domain, Urgency.ROUND if a.asked is None else Urgency.ASKED) for a in taken]
        for errand in errands:
            host.domains.remove(errand.domain)  # its turn comes when all the others have had theirs
            host.domains.append(errand.domain)
            host.schedule.promise(errand)
        for account, errand in zip(taken, errands, strict=True):
            self._mover.apart(self._carry(host, account, errand))
        return bool(taken)

    def _take(self, domains: list[str], most: int) -> list[Account]:
        due = [domain for domain in domains if domain in self._earliest]
        return self._queue.take(due, most, asked_only=self._asked_only)

    async def _carry(self, host: LegacyHost, account: Account, errand: Errand) -> None:
        asked = errand.urgency is Urgency.ASKED
        trace.follow((asked and account.trace) or trace.new())
        try:
            error = await self._mover.in_background(account, errand)
            if error is not None and host.schedule.failures >= FAILED:
                await self._in_thread(self._queue.put_off, list(host.domains), error.advice, PUT_OFF)
        finally:
            host.schedule.kept(errand)
            self._room()
