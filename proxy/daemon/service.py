"""Everything wired together: the daemon.

    listeners → proxy.imap.server, proxy.pop3.server → proxy.login.gate → proxy.migration → mailstore

With one worker all of it is in this process. With several, the ports, the gate, the moves and the web are here, and the
protocols are in the workers (`proxy.daemon.crew`, `proxy.daemon.worker`).

On SIGTERM or SIGINT the listeners close first; each session is answered the command it is at and then told
good-bye; moves end at their last barriers and go on at the next start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import reactor as _installed_reactor
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError
from proxy.config import Config
from proxy.daemon import logs, process
from proxy.daemon.alone import Alone, NotAlone
from proxy.daemon.crew import Crew, WorkerFailed
from proxy.daemon.listeners import PLAIN, WEB, WITH_TLS, CannotListen, Listening
from proxy.daemon.moving import Moving
from proxy.daemon.serving import Serving
from proxy.daemon.tls import server_tls
from proxy.login.gate import LoginGate
from proxy.login.hurrying import Hurrying
from proxy.login.notes import LoginNotes
from proxy.wire.faults import kind, where

if TYPE_CHECKING:
    from proxy.web.sites import Sites


class Daemon:
    """One process of mailferry. `reactor` is Twisted's, not yet running."""

    def __init__(self, config: Config, reactor: Any, log: Any) -> None:
        """Open what is in the state directory. Raises MailstoreError, NotAlone, OSError, ValueError (certificate)."""
        self._config = config
        self._reactor = reactor
        self._log = log
        self._database = AccountsDatabase(config.accounts_file)
        self._alone = Alone(config.state)
        self._moving = moving = Moving(config, self._database, reactor, log)
        self._homes, self._mover = moving.homes, moving.mover
        accounts, in_thread = moving.accounts, moving.threads.run
        hurrying = Hurrying(self._mover, self._homes.in_vain, reactor=reactor)
        self._homes.hurry = hurrying.hurry
        self._notes = LoginNotes(accounts, clock=reactor, in_thread=in_thread, log=log)
        gate = LoginGate(
            config,
            accounts,
            moving.sealer,
            self._homes,
            moving.door,
            self._mover,
            reactor=reactor,
            in_thread=in_thread,
            log=log,
            notes=self._notes,
        )
        self._sites = self._web(gate) if config.listen.web or config.listen.console else None
        self._listening = Listening(reactor, log.warning)
        self._crew: Crew | None = None
        self._serving: Serving | None = None
        if config.worker_count == 1:
            self._serving = Serving(config, gate, reactor=reactor, log=log)
        else:
            server_tls(config.tls)  # a mistake in it is told now, not by each worker
            self._crew = Crew(config, gate.admit, reactor=reactor, log=log)
            self._homes.also_tell = self._crew.changed
            self._homes.also_in_vain = self._crew.in_vain
            self._crew.hurry = hurrying.hurry

    def _web(self, gate: LoginGate) -> Sites:
        """Portal and console: in this process, however many workers there are, since the gate and the moves are here.
        Raises ValueError (certificate)."""
        from proxy.web.opening import open_sites  # noqa: PLC0415 - klein and Jinja2 cost half a second

        moving = self._moving
        return open_sites(
            self._config,
            self._database,
            moving.accounts,
            moving.sealer,
            gate,
            self._homes,
            self._mover,
            tls=server_tls(self._config.tls),
            in_thread=moving.threads.run,
            reactor=self._reactor,
            log=self._log,
        )

    async def start(self) -> None:
        """Listen, and go on with what was interrupted. Raises CannotListen, WorkerFailed."""
        self._moving.prepare()
        endpoints = {name: getattr(self._config.listen, name) for name in (*PLAIN, *WITH_TLS)}
        if self._serving is not None:
            listening = await self._listening.open(endpoints, self._serving.factory)
        else:
            assert self._crew is not None
            await self._crew.start()
            listening = await self._listening.open_for(endpoints, self._crew.hand_over)
        if self._sites is not None:
            pages = {name: getattr(self._config.listen, name) for name in WEB}
            listening += await self._listening.open(pages, self._sites.factory)
            self._sites.begin()
        workers = self._config.worker_count
        self._log.info("listening", on=listening, domains=sorted(self._config.domains), workers=workers)
        for warning in self._config.warnings:
            self._log.warning("configuration", about=str(warning))
        await self._moving.rounds.start()

    async def stop(self) -> None:
        """Take no more, answer what is under way, end moves at their last barriers."""
        self._log.info("stopping")
        await self._listening.close()
        if self._sites is not None:
            self._sites.end()
        await self._moving.end_moves()
        if self._sites is not None:
            await self._sites.ended()
        if self._serving is not None:
            await self._serving.drain()
        if self._crew is not None:
            await self._crew.stop()
        await self._notes.flush()
        await self._moving.close()
        self._database.close()
        self._alone.end()
        self._log.info("stopped")


def serve(config: Config) -> int:
    """Run the daemon until it is told to stop; gives back the exit status. Call once in a process."""
    reactor: Any = _installed_reactor
    log = logs.start()
    process.prepare()
    status = 0
    try:
        daemon = Daemon(config, reactor, log)
    except (MailstoreError, NotAlone, OSError, ValueError) as error:
        log.error("cannot start", reason=str(error))  # noqa: TRY400 - a line, no traceback
        return 1

    def failed(failure: Failure) -> None:
        nonlocal status
        status = 1
        if isinstance(failure.value, (CannotListen, MailstoreError, WorkerFailed)):
            log.error("cannot start", reason=failure.getErrorMessage())
        else:
            log.error("cannot start", error=kind(failure), where=where(failure))
        reactor.stop()

    def stop_failed(failure: Failure) -> None:
        log.error("stopping failed", error=kind(failure), where=where(failure))

    def start() -> None:
        Deferred.fromCoroutine(daemon.start()).addErrback(failed)

    def stop() -> Deferred[None]:
        return Deferred.fromCoroutine(daemon.stop()).addErrback(stop_failed)

    process.collect_less()
    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", stop)
    reactor.run()
    return status
