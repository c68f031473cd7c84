"""This node's shares of the legacy hosts, and what all nodes together are not to ask of them (`mailstore.allotment`).

Each host's schedule has a share, none at first, and so has the limit of its octets. They are seen to when somebody
waits for what the share has not got, when a place is left that other nodes may be short of, when they say that they
are, and every few seconds. So a login at a host that nobody else is at costs one transaction more, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from mailstore import allotment, said_no
from mailstore.allotment import Allotted, Wish
from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError
from proxy.login.leasing import EVERY, Leased
from proxy.login.legacy import LegacyHost
from proxy.login.nodes import Nodes
from proxy.login.outcomes import Log
from proxy.login.throttle import FAILURE_SECONDS, FAILURES
from proxy.migration.schedule import Share
from proxy.wire.faults import kind, where
from proxy.wire.in_thread import InThread

HOST: Final = "host"  # news: a host's (`more`) places are to be looked at anew
TOGETHER: Final = 0.02  # seconds in which what is asked for is asked for together
USED_WITHIN: Final = 2.0  # seconds in which logins that were allotted are begun, or not at all


class _Allotting:
    """Of one host."""

    def __init__(
        self, host: LegacyHost, leased: Leased, nodes: Nodes, database: AccountsDatabase, **about: Any
    ) -> None:
        self.host = host
        self.schedule = host.schedule
        self._bandwidth = host.bandwidth
        self._leased = leased
        self._nodes = nodes
        self._database = database
        self._in_thread: InThread = about["in_thread"]
        self._reactor = about["reactor"]
        self._log: Log = about["log"]
        self._asking = self._again = False
        self._short = False  # are other nodes short of places?
        self._timer: IDelayedCall | None = None
        self._failing = False
        self._until = 0.0  # logins that were allotted are no good any more
        self.stopped = False
        self.schedule.share = self._nothing()
        self.schedule.demand = self._demanded
        self.schedule.was_busy = self._was_busy
        if self._bandwidth is not None:
            self._bandwidth.share(0)
            self._bandwidth.lacking = partial(self.soon, 0.0)

    def _nothing(self) -> Share:
        return Share(0, None if self.schedule.limits.logins_per_minute is None else 0)

    def _demanded(self) -> None:
        schedule, share = self.schedule, self.schedule.share
        assert share is not None
        lacking = schedule.wanted > share.places or (share.logins is not None and schedule.waiting > share.logins)
        if lacking or self._short:
            self.soon(0.0)

    def soon(self, seconds: float = TOGETHER) -> None:
        """Look at it then, or before."""
        if self.stopped:
            return
        if self._asking:
            self._again = True
        elif self._timer is None or not self._timer.active():
            self._timer = self._reactor.callLater(seconds, self.look)
        elif self._timer.getTime() > self._reactor.seconds() + seconds:
            self._timer.reset(seconds)

    def stop(self) -> None:
        self.stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def lost(self) -> None:
        """This node has no places any more."""
        self.schedule.shared(self._nothing())
        if self._bandwidth is not None:
            self._bandwidth.share(0)

    def look(self) -> None:
        if self._asking or self.stopped:
            self._again = not self.stopped
            return
        self._asking = True
        asked = Deferred.fromCoroutine(self._ask())
        asked.addErrback(self._failed).addBoth(lambda _: self._asked())

    def _asked(self) -> None:
        self._asking = False
        if self._again:
            self._again = False
            self.soon()

    async def _ask(self) -> None:
        schedule, node = self.schedule, self._leased.number
        if node is None:  # it is looked at when this node has one
            return
        counted = schedule.limits.logins_per_minute is not None
        wish = Wish(schedule.wanted, schedule.held, schedule.in_use, schedule.waiting if counted else 0)
        octets = 0 if self._bandwidth is None else self._bandwidth.wanted()
        began, before = self._reactor.seconds(), schedule.share
        # What is asked for is what there is: nothing is begun until there is an answer.
        schedule.share = asking = Share(schedule.in_use, 0 if counted else None)
        try:
            found, read = await self._in_thread(self._allot, node, wish, octets)
        except BaseException:
            if schedule.share is asking:
                schedule.share = before
            raise
        self._failing = False
        if schedule.share is asking:  # else all was lost meanwhile
            self._take(found, read, began)

    def _allot(self, node: int, wish: Wish, octets: int) -> tuple[Allotted, Allotted | None]:
        limits, label, bandwidth = self.schedule.limits, self.host.label, self._bandwidth
        with self._database.write() as connection:
            found = allotment.allot(
                connection, label, node, limits.connections, wish, per_minute=limits.logins_per_minute
            )
            if bandwidth is None:
                return found, None
            return found, allotment.allot_octets(connection, label, node, bandwidth.limit, octets)

    def _take(self, found: Allotted, read: Allotted | None, began: float) -> None:
        self._short = found.short
        logins = None
        if self.schedule.limits.logins_per_minute is not None:
            logins = found.logins if self._reactor.seconds() - began < USED_WITHIN else 0
        if found.paused:
            self.schedule.leave_alone(found.paused / 1000)
        self.schedule.shared(Share(found.places, logins, found.too_many))
        if logins is not None:
            self._lapse(logins, found.again)
        if self._bandwidth is not None and read is not None:
            self._bandwidth.share(read.places)
        if found.changed or (read is not None and read.changed):
            self._nodes.tell(HOST, 0, self.host.label)

    def _lapse(self, logins: int, again: int) -> None:
        """What is not begun soon is not begun; there may be more later."""
        share = self.schedule.share
        assert share is not None
        if logins:
            self._reactor.callLater(USED_WITHIN, self._lapsed, share)
        if again:
            self.soon(again / 1000)

    @staticmethod
    def _lapsed(share: Share) -> None:
        share.logins = 0

    def _failed(self, failure: Failure) -> None:
        if not isinstance(failure.value, MailstoreError):
            self._log.error("unexpected", error=kind(failure), where=where(failure))
        elif not self._failing:
            self._failing = True
            self._log.warning("places not shared out", host=self.host.label, reason=failure.getErrorMessage())

    def _was_busy(self, seconds: float) -> None:
        def pause() -> None:
            with self._database.write() as connection:
                allotment.pause(connection, self.host.label, int(seconds * 1000))

        pausing = self._in_thread(pause)
        pausing.addCallbacks(lambda _: self._nodes.tell(HOST, 0, self.host.label), self._failed)


class Allotting:
    """Of all hosts."""

    def __init__(
        self,
        hosts: Sequence[LegacyHost],
        leased: Leased,
        nodes: Nodes,
        database: AccountsDatabase,
        *,
        reactor: Any,
        in_thread: InThread,
        log: Log,
    ) -> None:
        about = {"reactor": reactor, "in_thread": in_thread, "log": log}
        self._hosts = {host.label: _Allotting(host, leased, nodes, database, **about) for host in hosts}
        self._looks = LoopingCall(self._look)
        self._looks.clock = reactor
        nodes.on(HOST, self._told)
        leased.joined.append(lambda _node: self._look())
        leased.dead.append(self._lost)

    def start(self) -> None:
        self._looks.start(EVERY, now=False)

    def stop(self) -> None:
        if self._looks.running:
            self._looks.stop()
        for host in self._hosts.values():
            host.stop()

    def _look(self) -> None:
        for host in self._hosts.values():
            host.soon()

    def _lost(self) -> None:
        for host in self._hosts.values():
            host.lost()

    def _told(self, _about: int, label: str) -> None:
        if label in self._hosts:
            self._hosts[label].soon()


class Ceiling:
    """Wrong passwords that legacy servers were asked about, by all nodes. A `proxy.login.questions.Asked`."""

    def __init__(self, database: AccountsDatabase, in_thread: InThread, log: Log) -> None:
        self._database = database
        self._in_thread = in_thread
        self._log = log

    async def may_ask(self, mailbox: str) -> bool:
        """Are there questions left? Raises StorageFailed."""
        return await self._in_thread(self._count, mailbox) < FAILURES

    def _count(self, mailbox: str) -> int:
        with self._database.read() as connection:
            return said_no.count(connection, mailbox, FAILURE_SECONDS)

    def said_no(self, mailbox: str) -> Deferred[None]:
        """One question less."""
        return self._in_thread(self._change, partial(said_no.add, mailbox=mailbox)).addErrback(self._failed)

    def said_yes(self, mailbox: str) -> Deferred[None]:
        return self._in_thread(self._change, partial(said_no.forget, mailbox=mailbox)).addErrback(self._failed)

    def _change(self, change: Any) -> None:
        with self._database.write() as connection:
            change(connection)

    def _failed(self, failure: Failure) -> None:
        failure.trap(MailstoreError)  # type: ignore[no-untyped-call]
        self._log.warning("wrong password not counted", reason=failure.getErrorMessage())
