"""What carries mail over, wired together: the part of the daemon that serves nobody.

    proxy.login.rounds → proxy.login.mover → proxy.migration → mailstore

`proxy.daemon.service` has one of these; `mailferry migrate` runs one by itself where no daemon does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError
from mailstore.queue import Queue
from mailstore.rehearsal import rehearse
from mailstore.rotation import standing
from proxy.admin import databases, sealing
from proxy.config import Config
from proxy.daemon import logs, process
from proxy.daemon.beside import Beside, see_that_keys_agree
from proxy.daemon.sampling import Sampling
from proxy.daemon.scribing import Scribe
from proxy.daemon.threads import THREADS, Threads
from proxy.daemon.watching import DirectoryWatcher
from proxy.login import hashing, reasons
from proxy.login.asking import ask
from proxy.login.furnishing import Furnishing
from proxy.login.homes import Homes
from proxy.login.legacy import LegacyDoor
from proxy.login.mover import Mover
from proxy.login.nodes import Nodes
from proxy.login.rounds import Rounds
from proxy.login.whereabouts import Whereabouts, mooring_of
from proxy.wire.faults import kind, where
from proxy.wire.tally import Tally

LOOK_SECONDS: Final = 1.0

Afterwards = Callable[[], Coroutine[Deferred[Any], Any, None]]


class Moving:
    """`reactor` is Twisted's. The database stays its opener's."""

    def __init__(
        self,
        config: Config,
        database: AccountsDatabase,
        reactor: Any,
        log: Any,
        *,
        asked_only: bool = False,
        tally: Tally | None = None,
    ) -> None:
        """`asked_only`: of what waits, only what an administrator asked for. Raises MailstoreError."""
        self._log, self._state = log, config.state
        self._not_stored: set[str] = set()  # why not, as was said already
        self._config, self._database = config, database
        self.threads = Threads(THREADS, reactor.callFromThread)
        self.hashers = Threads(hashing.AT_ONCE, reactor.callFromThread)
        self.sealer = sealing.sealer(config)
        see_that_keys_agree(database, sealing.keys(config))
        self._watcher = DirectoryWatcher(reactor)
        self._engine = databases.mailboxes(database)
        self.homes = Homes(
            self._engine,
            in_thread=self.threads.run,
            from_thread=reactor.callFromThread,
            clock=reactor,
            watcher=self._watcher,
            report=log.warning,
        )
        nodes = None
        if database.engine is not None:
            nodes = Nodes(database.engine, self.homes, reactor=reactor, log=log, name="mailferry nodes")
            nodes.set_time(database.time())
            database.go_by(nodes.time)
        self.accounts = Accounts(database)
        self.homes.furnish = Furnishing(config, self.accounts.quota)
        mooring = mooring_of(config, self.accounts)
        self.homes.there = mooring.hold
        self.homes.expect = Whereabouts(self.accounts.find, mooring)
        logins = partial(ask, self.accounts, self.threads.run, self.accounts.legacy_login)
        self.door = LegacyDoor(config, reactor, log.warning, logins, tally)
        # Is somebody logged in to an account, on this node? Who is so on another one waits for its move wherever it is.
        self.has_sessions: Callable[[int], bool] = self.homes.has_sessions
        self.beside = None
        if nodes is not None:
            self.beside = Beside(
                nodes,
                database,
                self.accounts,
                self.homes,
                self.door,
                reactor=reactor,
                in_thread=self.threads.run,
                log=log,
            )
        self.scribe = Scribe(reactor, log.warning)
        self._sampling = Sampling(database, reactor, self.threads.run, log)
        self.mover = Mover(
            config,
            self.accounts,
            self.sealer,
            self.homes,
            self.door,
            reactor=reactor,
            in_thread=self.threads.run,
            log=log,
            now=self.homes.now,
            open_writer=self.scribe.writer,
            tally=tally,
            leasing=None if self.beside is None else self.beside.leased,
        )
        self.rounds = Rounds(
            self.door.hosts,
            Queue(database, self.homes.now, several=self.beside is not None),
            self.mover,
            clock=reactor,
            in_thread=self.threads.run,
            log=log,
            every=config.migration.round,
            asked_only=asked_only,
            now=self.homes.now,
        )

    async def begin(self) -> None:
        """Be there for other nodes, before anybody logs in."""
        if self.beside is not None:
            await self.beside.start()

    def prepare(self) -> None:
        """Have at hand what moves need, before the first begins."""
        self.scribe.start()
        self._sampling.start()
        for rehearsing in (
            self.threads.run(self.homes.there),
            self.threads.run(self.accounts.rehearse),
            self.threads.run(rehearse, self._engine, self._state, self.scribe.writer),
        ):
            rehearsing.addErrback(self._not_rehearsed)
        self.threads.run(self._look_at_keys).addErrback(self._not_rehearsed)

    def _look_at_keys(self) -> None:
        """Passwords that do not open are no reason not to begin: their users log in."""
        found = standing(self._database, sealing.keys(self._config))
        if said := sealing.without(found):
            self._log.warning("sealed passwords do not open", reason=said, file=str(self._config.key_file))

    def _not_rehearsed(self, failure: Failure) -> None:
        """Moves may go well all the same: mailboxes can be on other disks."""
        failure.trap(MailstoreError)  # type: ignore[no-untyped-call]
        reason = reasons.of(cast(MailstoreError, failure.value), self._state)
        if reason not in self._not_stored:  # several meet the same disk
            self._not_stored.add(reason)
            self._log.warning("no mail can be stored", reason=reason)

    # A node that goes out of service (`proxy.daemon.draining`)

    @property
    def running(self) -> int:
        """How many moves are under way."""
        return len(self.mover.moves.accounts())

    def rest(self) -> None:
        """Begin nothing that nobody has logged in for."""
        self.rounds.rest()

    def hand_on(self, *, all_: bool) -> None:
        """End the moves that nobody here waits for, or all, at their last barriers."""
        mover, has_sessions = self.mover, self.has_sessions
        self.mover.hand_on(lambda number: not all_ and (mover.awaited(number) or has_sessions(number)))

    def go_on(self) -> None:
        """As before."""
        self.rounds.go_on()

    async def end_moves(self) -> None:
        """Begin nothing more, and end all moves at their last barriers."""
        await self.rounds.stop()
        if self.beside is not None:
            self.beside.end_asking()
        await self.mover.stop()
        await self._sampling.stop()

    async def close(self) -> None:
        """When nobody uses a home any more."""
        await self.homes.closed()
        await self.scribe.stop()
        if self.beside is not None:
            await self.beside.stop()
        self._watcher.close()
        self.threads.stop()
        self.hashers.stop()


def move_asked(
    config: Config, database: AccountsDatabase, look: Callable[[], bool], afterwards: Afterwards | None = None
) -> bool:
    """Move what was asked for, in this process, until `look`, which is called each second, says that it is done; then
    do what is to be done `afterwards`, for which this process has no second reactor.

    Gives back whether it was; not, where the process was told to stop: the moves then stand at their last barriers.
    Call once in a process. Raises MailstoreError.
    """
    from twisted.internet import reactor as installed  # noqa: PLC0415 - each process has one of its own

    reactor: Any = installed
    log = logs.start(logging.ERROR)
    process.prepare(reactor)
    moving = Moving(config, database, reactor, log, asked_only=True)
    trouble: list[Failure] = []

    def failed(failure: Failure) -> None:
        trouble.append(failure)
        reactor.stop()

    whole = False

    async def go_on() -> None:
        nonlocal whole
        if afterwards is not None:
            await afterwards()
        whole = True
        reactor.stop()

    def all_is_here() -> None:
        Deferred.fromCoroutine(go_on()).addErrback(failed)

    looking = LoopingCall(_Look(look, all_is_here))

    async def begin() -> None:
        await moving.begin()
        moving.prepare()
        await moving.rounds.start()

    def start() -> None:
        Deferred.fromCoroutine(begin()).addErrback(failed)
        looking.start(LOOK_SECONDS).addErrback(failed)

    async def end() -> None:
        if looking.running:
            looking.stop()
        await moving.end_moves()
        await moving.close()

    def stop() -> Deferred[None]:
        return Deferred.fromCoroutine(end()).addErrback(trouble.append)

    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", stop)
    reactor.run()
    for failure in trouble:
        if isinstance(failure.value, MailstoreError):
            raise failure.value
        log.error("unexpected", error=kind(failure), where=where(failure))
    return whole and not trouble


class _Look:
    def __init__(self, look: Callable[[], bool], then: Callable[[], None]) -> None:
        self._done = False
        self._look = look
        self._then = then

    def __call__(self) -> None:
        if not self._done and self._look():
            self._done = True
            self._then()
