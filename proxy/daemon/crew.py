"""The workers, as the daemon has them: started, given connections and answers, and replaced when one dies.

    client ── Acceptor ── hand_over ──► the worker with the fewest connections
    worker ── login ──► the gate, here ── home or refused ──► worker

Any worker serves any account, so one account's sessions may be in several. Before a session is let in, the workers
that have others of the same account are told to share, and have said that they understood: so each change that is
committed after the new session has looked is told to it. Changes reach the other workers by way of the daemon, and a
command that made one is answered when they have: so it is as in one process.

Where another daemon takes over in this process, its workers are new ones, and those that were here before retire
(`proxy.daemon.retiring`).

A worker that dies takes its own sessions with it and nothing else; another takes its place, after a moment that grows
where they keep dying.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredList, FirstError, gatherResults
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from proxy.config import Config
from proxy.daemon import handover
from proxy.daemon.adopted import Kept, kept
from proxy.daemon.channel import Message, text_of
from proxy.daemon.employed import Employed
from proxy.daemon.entering import Admit, Entering
from proxy.daemon.retiring import Retiring
from proxy.daemon.tls import Pair
from proxy.wire import trace
from proxy.wire.tally import DEATHS, Tally

SHARE_SECONDS: Final = 2.0  # how long a worker may take to say that it shares an account, or knows of a change
AGAIN_SECONDS: Final = 0.2  # after a worker's death, and twice as long after each that follows
AGAIN_MOST: Final = 30.0
WELL_SECONDS: Final = 60.0  # a worker that has lived so long was well
LOOK_SECONDS: Final = 2.0  # how often each worker is asked whether it answers
PATIENCE: Final = 10  # such looks at one that does not, before it is ended; at the second it is given no more clients
STARTING: Final = 60  # … at one that has not begun to serve
WAITING: Final = 1_000  # connections that wait for a worker while there is none


class WorkerFailed(Exception):
    """A worker did not start. The log says why."""


@dataclass(frozen=True, slots=True)
class _News:
    """A change on its way to other workers."""

    by: Employed
    id: int  # what `by` calls it
    untold: set[Employed]
    late: Any  # the delayed call after which nobody is waited for


class Crew:
    """All workers."""

    def __init__(
        self, config: Config, admit: Admit, pair: Pair | None, *, reactor: Any, log: Any, tally: Tally
    ) -> None:
        """`admit` decides who may come in (`LoginGate.admit`). `pair` is what clients are shown over TLS; what workers
        count is added to `tally`."""
        self.hurry: Callable[[int, Collection[int], bool], None] = self._nobody_fetches  # see `Homes.hurry`
        self._config = config
        self._pair = pair
        self._tally = tally
        self._reactor = reactor
        self._log = log
        self._workers: list[Employed] = []
        self._waiting: deque[tuple[socket.socket, str]] = deque()
        self._stopping = False
        self._count = count(1)
        self._news: dict[int, _News] = {}
        self._again = AGAIN_SECONDS
        self._began: dict[int, float] = {}
        self._replacing: dict[int, Any] = {}  # delayed calls by the worker's number
        self._entering = Entering(config, admit, self, reactor, log)
        self._retiring = Retiring(self, tally, reactor, log)
        self._looks: LoopingCall | None = None
        self._ease_until: float | None = None

    async def start(self) -> None:
        """Start them; returns when all are ready. Raises WorkerFailed."""
        taken = {worker.number for worker in self._workers}
        numbers = islice((number for number in count(1) if number not in taken), self._config.worker_count)
        ready = [self._begin(number) for number in numbers]
        done = DeferredList(ready, fireOnOneErrback=True, consumeErrors=True)
        try:
            await done
        except FirstError as error:
            raise WorkerFailed("a worker did not start") from error

    def _begin(self, number: int) -> Deferred[None]:
        worker = Employed(self, number)
        self._workers.append(worker)
        self._began[number] = self._reactor.seconds()
        try:
            worker.start(self._reactor)
        except OSError:
            self._workers.remove(worker)
            raise
        origin = self._config.origin
        worker.channel.tell(
            "begin",
            data=text_of(origin.data),
            source=origin.source,
            directory=str(origin.directory.absolute()),
            pair=_told_of(self._pair),
        )
        return worker.ready

    def renew(self, pair: Pair) -> None:
        """Have every worker, and each that comes after, show this one."""
        self._pair = pair
        for worker in self._workers:
            worker.channel.tell("renew", pair=_told_of(pair))

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return sum(worker.connections for worker in self._workers)

    @property
    def serving(self) -> int:
        """How many workers are."""
        return sum(worker.serving for worker in self._workers)

    @property
    def retiring(self) -> int:
        """How many workers retire."""
        return sum(worker.retiring for worker in self._workers)

    def look_after(self) -> None:
        """Ask each worker for an answer. One that owes it for too many looks is ended, and replaced; not at the first,
        when the daemon itself may just have gone on after a halt, and not have read it yet."""
        for worker in [] if self._stopping else list(self._workers):
            if worker.owing == 0:
                worker.channel.tell("answer")
            elif worker.owing == (PATIENCE if worker.serving else STARTING):
                self._log.error("worker does not answer", worker=worker.number)
                worker.give_up()
            worker.owing += 1

    def lost(self, worker: Employed, reason: Failure) -> None:
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
            self.left(account)
        worker.ended.callback(None)
        if worker.paused is not None and not worker.paused.called:
            worker.paused.callback(None)
        if worker.retiring:
            self._retiring.ended(worker, reason)
            return
        if not worker.ready.called:
            worker.ready.errback(WorkerFailed())
            if worker.number not in self._replacing and not self._entering.begun:
                return  # the daemon itself does not start
        if not self._stopping:
            self._replace(worker, reason)

    def _replace(self, worker: Employed, reason: Failure) -> None:
        number, now = worker.number, self._reactor.seconds()
        well = now - self._began[number] >= WELL_SECONDS
        self._again = AGAIN_SECONDS if well else min(2 * self._again, AGAIN_MOST)
        self._tally.count(DEATHS)
        self._log.error("worker died", worker=number, reason=reason.getErrorMessage(), again=self._again)
        self._begin_later(number)

    def _begin_later(self, number: int) -> None:
        def begin() -> None:
            del self._replacing[number]
            try:
                self._begin(number).addErrback(lambda _failure: None)
            except OSError as error:  # no descriptors, or no memory, at the moment
                self._again = min(2 * self._again, AGAIN_MOST)
                self._log.error("worker not started", worker=number, reason=error.strerror, again=self._again)
                self._begin_later(number)

        self._replacing[number] = self._reactor.callLater(self._again, begin)

    @property
    def workers(self) -> Sequence[Employed]:
        """Those that there are at the moment."""
        return self._workers

    # Connections

    def hand_over(self, connection: socket.socket, service: str) -> None:
        """Give a connection to the worker that has the fewest, of those that answer. It is not the caller's any
        more."""
        self._waiting.append((connection, service))
        if len(self._waiting) > WAITING:
            self._waiting.popleft()[0].close()
        self._hand_over_waiting()

    def _hand_over_waiting(self) -> None:
        while self._waiting and (able := [worker for worker in self._workers if worker.serving]):
            connection, service = self._waiting.popleft()
            for worker in sorted(able, key=lambda worker: (worker.owing > 1, worker.connections)):
                assert worker.handing_over is not None
                if handover.send(worker.handing_over, connection, service):
                    worker.connections += 1
                    break
            connection.close()

    # What workers say

    def told(self, worker: Employed, said: str, message: Message) -> None:
        """A message from a worker."""
        match said:
            case "closed":
                worker.connections -= 1
                self._retiring.look_at(worker)
            case "changed" | "noted" | "hurry":
                self._told_of_mail(worker, said, message)
            case "login":
                self._entering.ask(worker, message)
            case "left":
                worker.sessions[message["account"]] -= 1
                if not worker.sessions[message["account"]]:
                    del worker.sessions[message["account"]]
                self.left(message["account"])
            case "cancel":
                self._entering.cancel(worker, message)
            case "shared":
                for acknowledged in worker.acknowledging.pop(message["account"], ()):
                    acknowledged.callback(None)
            case "answered" | "tally" | "paused":
                self._told_of_itself(worker, said, message)
            case "ready":
                self._ready(worker)
            case _:
                raise AssertionError(f"a worker says {said}")

    def _told_of_itself(self, worker: Employed, said: str, message: Message) -> None:
        match said:
            case "answered":
                worker.owing = 0
            case "tally":
                self._tally.add(message)
                worker.open = message["open"]
                worker.figures = message["figures"]
            case "paused":
                if worker.paused is not None and not worker.paused.called:
                    worker.paused.callback(None)

    def _told_of_mail(self, worker: Employed, said: str, message: Message) -> None:
        match said:
            case "changed":
                self._pass_on(worker, message)
            case "noted":
                self._noted(worker, message["news"])
            case "hurry":
                copy_context().run(self._hurry, message)

    def _hurry(self, message: Message) -> None:
        """… in a context of its own, which a move that begins keeps."""
        trace.follow(message["trace"])
        self.hurry(message["account"], message["uids"], message["whole"])

    def _ready(self, worker: Employed) -> None:
        worker.serving, worker.owing = True, 0
        self._entering.begin(self._workers)
        if self._looks is None:
            self._looks = LoopingCall(self.look_after)
            self._looks.clock = self._reactor
            self._looks.start(LOOK_SECONDS, now=False)
        worker.ready.callback(None)
        if self._ease_until is not None:
            worker.channel.tell("ease", within=max(0.0, self._ease_until - self._reactor.seconds()))
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

    def has_sessions(self, account_id: int) -> bool:
        """Is somebody logged in to this account?"""
        return bool(self._having(account_id))

    def _having(self, account_id: int) -> list[Employed]:
        return [worker for worker in self._workers if worker.sessions.get(account_id)]

    def _pass_on(self, by: Employed, message: Message) -> None:
        """A worker's session has changed a folder: it is answered when the others know."""
        news, others = next(self._count), set(self._having(message["account"])) - {by}
        late = self._reactor.callLater(SHARE_SECONDS, self._known, news)
        self._news[news] = _News(by, message["id"], others, late)
        for worker in others:
            worker.channel.tell("changed", account=message["account"], folder=message["folder"], news=news)
        if not others:
            self._known(news)

    def _noted(self, worker: Employed, number: int) -> None:
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

    # Who shares an account with whom

    async def share(self, worker: Employed, account_id: int) -> bool:
        """See `Sharing.share`."""
        others = [each for each in self._having(account_id) if each is not worker]
        if not others:
            worker.sharing.discard(account_id)
            return False
        worker.sharing.add(account_id)
        understood = [self._told_to_share(other, account_id) for other in others if account_id not in other.sharing]
        await gatherResults(understood, consumeErrors=True)
        return True

    def _told_to_share(self, worker: Employed, account_id: int) -> Deferred[None]:
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

    def left(self, account_id: int) -> None:
        """See `Sharing.left`. Is there one worker left that has any?"""
        having = self._having(account_id)
        if len(having) == 1 and account_id in having[0].sharing:
            having[0].sharing.discard(account_id)
            having[0].channel.tell("alone", account=account_id)

    # Another daemon takes over

    def adopt(self, workers: Sequence[Kept], *, said: int) -> None:
        """Have workers of an earlier daemon retire. `said` is what `Crew.said` was."""
        self._count = count(said)
        for about in workers:
            worker = self._retiring.adopt(about)
            self._workers.append(worker)
            if self._pair is not None:
                worker.channel.tell("renew", pair=_told_of(self._pair))
            self._retiring.look_at(worker)

    @property
    def said(self) -> int:
        """The number of the next change that is told to workers."""
        return next(self._count)

    def take_no_logins(self) -> None:
        """Another daemon is about to take over. It is asked again whatever is not answered by now."""
        self._replace_none()
        self._entering.close(self._workers)

    async def pause(self) -> None:
        """Have all workers fall silent, and know that nothing is on its way to or from any of them."""
        for _ in range(2):  # what they said before they fell silent is passed on, and arrives
            await self._retiring.silence(list(self._workers))
            for number in list(self._news):
                self._known(number)

    def kept(self) -> list[Kept]:
        """All workers, for the next daemon. To be called when they are silent; nothing more is said to them."""
        return [kept(worker) for worker in self._workers]

    def waiting(self) -> list[tuple[socket.socket, str]]:
        """Connections that no worker has taken."""
        return list(self._waiting)

    # This node goes out of service, or comes back

    def ease(self, within: float | None) -> None:
        """See `Serving.ease`."""
        self._ease_until = None if within is None else self._reactor.seconds() + within
        for worker in self._workers:
            worker.channel.tell("ease", within=within)

    # The end

    async def stop(self) -> None:
        """Have all of them answer what is under way, and end."""
        self._replace_none()
        while self._waiting:
            self._waiting.popleft()[0].close()
        workers = list(self._workers)
        for worker in workers:
            worker.channel.tell("stop")
        await gatherResults([worker.ended for worker in workers])
        for number in list(self._news):
            self._known(number)

    def _replace_none(self) -> None:
        self._stopping = True
        for call in self._replacing.values():
            call.cancel()
        self._replacing.clear()
        self._entering.end()
        if self._looks is not None and self._looks.running:
            self._looks.stop()

    def hasten(self) -> None:
        """Have none of them wait for clients any more."""
        for worker in self._workers:
            worker.channel.tell("hasten")


def _told_of(pair: Pair | None) -> Any:
    return None if pair is None else [text_of(pair.certificate), text_of(pair.key)]
