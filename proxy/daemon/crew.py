"""The workers, as the daemon has them: started, given connections and answers, and replaced when one dies.

    client ── Acceptor ── hand_over ──► the worker with the fewest connections
    worker ── login ──► the gate, here ── home or refused ──► worker

Any worker serves any account, so one account's sessions may be in several. Before a session is let in, the workers
that have others of the same account are told to share, and have said that they understood: so each change that is
committed after the new session has looked is told to it. Changes reach the other workers by way of the daemon, and a
command that made one is answered when they have: so it is as in one process.

A worker that dies takes its own sessions with it and nothing else; another takes its place, after a moment that grows
where they keep dying.
"""

from __future__ import annotations

import os
import socket
import sys
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred, DeferredList, FirstError, gatherResults
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from mailstore.accounts import Account
from proxy.config import Config
from proxy.daemon import handover
from proxy.daemon.channel import Channel, Message, octets_of, text_of
from proxy.daemon.worker import CHANNEL, CONNECTIONS
from proxy.login.gate import LATER
from proxy.wire.door import Credentials, Hold, LoginRefused, Refusal, Secret
from proxy.wire.faults import kind, where

HOLD_SECONDS: Final = 0.5  # how often workers are told how far held logins are
SHARE_SECONDS: Final = 2.0  # how long a worker may take to say that it shares an account, or knows of a change
AGAIN_SECONDS: Final = 0.2  # after a worker's death, and twice as long after each that follows
AGAIN_MOST: Final = 30.0
WELL_SECONDS: Final = 60.0  # a worker that has lived so long was well
WAITING: Final = 1_000  # connections that wait for a worker while there is none

Admit = Callable[[Credentials, Hold], Awaitable[Account]]


class WorkerFailed(Exception):
    """A worker did not start. The log says why."""


class _Worker(ProcessProtocol):
    """One worker process."""

    def __init__(self, crew: Crew, number: int) -> None:
        self.number = number
        self.ready: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.serving = False
        self.connections = 0
        self.sessions: Counter[int] = Counter()  # by account
        self.sharing: set[int] = set()  # accounts of whose changes it tells
        self.logins: dict[int, tuple[Deferred[None], Hold]] = {}
        self.told: dict[int, tuple[bool, int, int]] = {}  # of a login, how far it is said to be
        self.acknowledging: dict[int, list[Deferred[None]]] = {}
        self._crew = crew
        self.channel = Channel(self._told, self._deaf)
        self.handing_over: socket.socket | None = None

    def start(self, reactor: Any) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        sending, receiving = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sending.setblocking(False)
        ours.setblocking(False)
        self.handing_over = sending
        nothing = os.open(os.devnull, os.O_RDWR)
        try:
            reactor.spawnProcess(
                self,
                sys.executable,
                [sys.executable, "-P", "-m", "proxy.daemon.worker", str(self.number)],
                env=None,
                childFDs={0: nothing, 1: 1, 2: 2, CHANNEL: theirs.fileno(), CONNECTIONS: receiving.fileno()},
            )
        finally:
            theirs.close()
            receiving.close()
            os.close(nothing)
        if not self.ended.called:  # not dead before it was even started
            reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: self.channel))
        ours.close()

    def _told(self, said: str, message: Message) -> None:
        self._crew.told(self, said, message)

    def _deaf(self) -> None:
        """It says no more: it has ended, or is about to."""
        self.serving = False

    def processEnded(self, reason: Failure) -> None:
        self.serving = False
        if self.handing_over is not None:
            self.handing_over.close()
            self.handing_over = None
        self._crew.lost(self, reason)


@dataclass(frozen=True, slots=True)
class _News:
    """A change on its way to other workers."""

    by: _Worker
    id: int  # what `by` calls it
    untold: set[_Worker]
    late: Any  # the delayed call after which nobody is waited for


class Crew:
    """All workers."""

    def __init__(self, config: Config, admit: Admit, *, reactor: Any, log: Any) -> None:
        """`admit` decides who may come in (`LoginGate.admit`)."""
        self.hurry: Callable[[int, Collection[int], bool], None] = self._nobody_fetches  # see `Homes.hurry`
        self._config = config
        self._admit = admit
        self._reactor = reactor
        self._log = log
        self._workers: list[_Worker] = []
        self._waiting: deque[tuple[socket.socket, str]] = deque()
        self._stopping = False
        self._count = count(1)
        self._news: dict[int, _News] = {}
        self._again = AGAIN_SECONDS
        self._began: dict[int, float] = {}
        self._replacing: dict[int, Any] = {}  # delayed calls by the worker's number
        self._holds: LoopingCall | None = None

    async def start(self) -> None:
        """Start them; returns when all are ready. Raises WorkerFailed."""
        ready = [self._begin(number) for number in range(1, self._config.worker_count + 1)]
        done = DeferredList(ready, fireOnOneErrback=True, consumeErrors=True)
        try:
            await done
        except FirstError as error:
            raise WorkerFailed("a worker did not start") from error

    def _begin(self, number: int) -> Deferred[None]:
        worker = _Worker(self, number)
        self._workers.append(worker)
        self._began[number] = self._reactor.seconds()
        worker.start(self._reactor)
        origin = self._config.origin
        worker.channel.tell(
            "begin", data=text_of(origin.data), source=origin.source, directory=str(origin.directory.absolute())
        )
        return worker.ready

    def lost(self, worker: _Worker, reason: Failure) -> None:
        """A worker's process has ended."""
        self._workers.remove(worker)
        for entering, _ in list(worker.logins.values()):
            entering.cancel()
        for acknowledged in [each for waiting in worker.acknowledging.values() for each in waiting]:
            acknowledged.callback(None)
        worker.acknowledging.clear()
        for number in list(self._news):
            self._noted(worker, number)
        for account in list(worker.sessions):
            del worker.sessions[account]
            self._left(account)
        worker.ended.callback(None)
        if not worker.ready.called:
            worker.ready.errback(WorkerFailed())
            if worker.number not in self._replacing and self._holds is None:
                return  # the daemon itself does not start
        if not self._stopping:
            self._replace(worker, reason)

    def _replace(self, worker: _Worker, reason: Failure) -> None:
        number, now = worker.number, self._reactor.seconds()
        well = now - self._began[number] >= WELL_SECONDS
        self._again = AGAIN_SECONDS if well else min(2 * self._again, AGAIN_MOST)
        self._log.error("worker died", worker=number, reason=reason.getErrorMessage(), again=self._again)

        def begin() -> None:
            del self._replacing[number]
            self._begin(number).addErrback(lambda _failure: None)

        self._replacing[number] = self._reactor.callLater(self._again, begin)

    # Connections

    def hand_over(self, connection: socket.socket, service: str) -> None:
        """Give a connection to the worker that has the fewest. It is not the caller's any more."""
        self._waiting.append((connection, service))
        if len(self._waiting) > WAITING:
            self._waiting.popleft()[0].close()
        self._hand_over_waiting()

    def _hand_over_waiting(self) -> None:
        while self._waiting and (able := [worker for worker in self._workers if worker.serving]):
            connection, service = self._waiting.popleft()
            for worker in sorted(able, key=lambda worker: worker.connections):
                assert worker.handing_over is not None
                if handover.send(worker.handing_over, connection, service):
                    worker.connections += 1
                    break
            connection.close()

    # What workers say

    def told(self, worker: _Worker, said: str, message: Message) -> None:
        """A message from a worker."""
        match said:
            case "closed":
                worker.connections -= 1
            case "changed" | "noted" | "hurry":
                self._told_of_mail(worker, said, message)
            case "login":
                self._login(worker, message)
            case "left":
                worker.sessions[message["account"]] -= 1
                if not worker.sessions[message["account"]]:
                    del worker.sessions[message["account"]]
                self._left(message["account"])
            case "cancel":
                entering = worker.logins.get(message["id"])
                if entering is not None:
                    entering[0].cancel()
            case "shared":
                for acknowledged in worker.acknowledging.pop(message["account"], ()):
                    acknowledged.callback(None)
            case "ready":
                self._ready(worker)
            case _:
                raise AssertionError(f"a worker says {said}")

    def _told_of_mail(self, worker: _Worker, said: str, message: Message) -> None:
        match said:
            case "changed":
                self._pass_on(worker, message)
            case "noted":
                self._noted(worker, message["news"])
            case "hurry":
                self.hurry(message["account"], message["uids"], message["whole"])

    def _ready(self, worker: _Worker) -> None:
        worker.serving = True
        if self._holds is None:
            self._holds = LoopingCall(self._tell_holds)
            self._holds.clock = self._reactor
            self._holds.start(HOLD_SECONDS, now=False)
        worker.ready.callback(None)
        self._hand_over_waiting()

    def changed(self, account_id: int, folder_id: int) -> None:
        """A move has changed a folder."""
        for worker in self._having(account_id):
            worker.channel.tell("changed", account=account_id, folder=folder_id, news=None)

    def in_vain(self, account_id: int) -> None:
        """Nothing of an account's old mailbox comes at the moment."""
        for worker in self._having(account_id):
            worker.channel.tell("in_vain", account=account_id)

    def _nobody_fetches(self, account_id: int, _uids: Collection[int], _whole: bool) -> None:
        """There are no moves."""
        self.in_vain(account_id)

    def _having(self, account_id: int) -> list[_Worker]:
        return [worker for worker in self._workers if worker.sessions.get(account_id)]

    def _pass_on(self, by: _Worker, message: Message) -> None:
        """A worker's session has changed a folder: it is answered when the others know."""
        news, others = next(self._count), set(self._having(message["account"])) - {by}
        late = self._reactor.callLater(SHARE_SECONDS, self._known, news)
        self._news[news] = _News(by, message["id"], others, late)
        for worker in others:
            worker.channel.tell("changed", account=message["account"], folder=message["folder"], news=news)
        if not others:
            self._known(news)

    def _noted(self, worker: _Worker, number: int) -> None:
        news = self._news.get(number)
        if news is not None:
            news.untold.discard(worker)
            if not news.untold:
                self._known(number)

    def _known(self, number: int) -> None:
        """All that had to know do, or have had time enough: a worker that hangs keeps nobody else waiting."""
        news = self._news.pop(number)
        if news.late.active():
            news.late.cancel()
        news.by.channel.tell("heard", id=news.id)

    # Logins

    def _login(self, worker: _Worker, message: Message) -> None:
        number, hold = message["id"], Hold()
        credentials = Credentials(
            octets_of(message["username"]),
            Secret(octets_of(message["password"])),
            message["protocol"],
            message["peer"],
        )
        entering = Deferred.fromCoroutine(self._enter(worker, number, credentials, hold))
        if not entering.called:
            worker.logins[number] = entering, hold

        def over(result: Any) -> None:
            worker.logins.pop(number, None)
            worker.told.pop(number, None)
            if isinstance(result, Failure) and not isinstance(result.value, CancelledError):
                self._log.error("login failed", error=kind(result), where=where(result))
                worker.channel.tell("refused", id=number, why=Refusal.UNAVAILABLE.value, text=LATER)

        entering.addBoth(over)

    async def _enter(self, worker: _Worker, number: int, credentials: Credentials, hold: Hold) -> None:
        try:
            account = await self._admit(credentials, hold)
        except LoginRefused as refused:
            worker.channel.tell("refused", id=number, why=refused.refusal.value, text=refused.text)
            return
        worker.sessions[account.id] += 1
        try:
            shared = await self._share(worker, account.id)
        except CancelledError:
            worker.sessions[account.id] -= 1
            self._left(account.id)
            raise
        maildir = self._config.maildir_for(account.local, account.domain)
        worker.channel.tell(
            "home", id=number, account=account.id, name=account.name, maildir=str(maildir), shared=shared
        )

    async def _share(self, worker: _Worker, account_id: int) -> bool:
        """Have the other workers that have sessions of the account tell of its changes; are there any?"""
        others = [each for each in self._having(account_id) if each is not worker]
        if not others:
            worker.sharing.discard(account_id)
            return False
        worker.sharing.add(account_id)
        understood = [self._told_to_share(other, account_id) for other in others if account_id not in other.sharing]
        await gatherResults(understood, consumeErrors=True)
        return True

    def _told_to_share(self, worker: _Worker, account_id: int) -> Deferred[None]:
        """A worker that does not answer keeps nobody from logging in: it is busy, and tells when it is not."""
        understood: Deferred[None] = Deferred()
        waiting = worker.acknowledging.setdefault(account_id, [])
        waiting.append(understood)
        if len(waiting) == 1:
            worker.channel.tell("share", account=account_id)

        def over(result: Any) -> None:
            if understood in waiting:
                waiting.remove(understood)
            if not isinstance(result, Failure):
                worker.sharing.add(account_id)

        return understood.addTimeout(SHARE_SECONDS, self._reactor).addBoth(over)

    def _left(self, account_id: int) -> None:
        """A session has ended: is there one worker left that has any?"""
        having = self._having(account_id)
        if len(having) == 1 and account_id in having[0].sharing:
            having[0].sharing.discard(account_id)
            having[0].channel.tell("alone", account=account_id)

    def _tell_holds(self) -> None:
        for worker in self._workers:
            for number, (_, hold) in worker.logins.items():
                now = hold.accepted, hold.done, hold.total
                if worker.told.get(number, (False, 0, 0)) != now:
                    worker.told[number] = now
                    worker.channel.tell("hold", id=number, accepted=now[0], done=now[1], total=now[2])

    # The end

    async def stop(self) -> None:
        """Have all of them answer what is under way, and end."""
        self._stopping = True
        for call in self._replacing.values():
            call.cancel()
        self._replacing.clear()
        while self._waiting:
            self._waiting.popleft()[0].close()
        workers = list(self._workers)
        for worker in workers:
            worker.channel.tell("stop")
        await gatherResults([worker.ended for worker in workers])
        for number in list(self._news):
            self._known(number)
        if self._holds is not None and self._holds.running:
            self._holds.stop()
