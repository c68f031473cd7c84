"""Everything wired together: the daemon.

    listeners → proxy.imap.server, proxy.pop3.server, proxy.sasl.server → proxy.login.gate → proxy.migration → mailstore

With one worker all of it is in this process. With several, the ports, the gate, the moves, the web, LMTP and password
checks for other programs are here, and IMAP and POP3 are in the workers (`proxy.daemon.crew`, `proxy.daemon.worker`).

`proxy.daemon.life` has what the process is told from outside: SIGHUP, on which another daemon takes this one's place
without anybody's session ending (`proxy.daemon.succession`), and SIGTERM or SIGINT. Then the listeners close first;
each session is answered the command it is at and then told good-bye; moves end at their last barriers and go on at the
next start. Where it was drained before (`proxy.daemon.draining`) nobody is left who would notice.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocolFactory

from mailstore.errors import MailstoreError, StorageFailed
from proxy.admin import databases
from proxy.config import Config
from proxy.config.endpoints import PROXIED
from proxy.daemon import logs, process, succession
from proxy.daemon.alone import Alone, NotAlone, see_to_restoring
from proxy.daemon.crew import Crew
from proxy.daemon.draining import Draining
from proxy.daemon.fronted import Fronts
from proxy.daemon.life import Life
from proxy.daemon.listeners import ASKED, MAIL, PLAIN, WEB, WITH_TLS, Listening
from proxy.daemon.moving import Moving
from proxy.daemon.passed import Passed, PassedSockets
from proxy.daemon.readiness import Readiness
from proxy.daemon.renewing import Renewing
from proxy.daemon.serving import Serving
from proxy.daemon.succession import Handed
from proxy.daemon.systemd import Systemd
from proxy.daemon.tls import Pair, server_tls
from proxy.daemon.waiting import wait_for_database
from proxy.lmtp.server import LmtpFactory
from proxy.lmtp.session import Limits
from proxy.login.delivering import Delivering
from proxy.login.gate import LoginGate
from proxy.login.hashing import Hashing
from proxy.login.hurrying import Hurrying
from proxy.login.notes import LoginNotes
from proxy.sasl.server import SaslFactory
from proxy.wire.door import Terms
from proxy.wire.tally import Tally
from proxy.wire.trusted import Trusted

if TYPE_CHECKING:
    from proxy.daemon.metrics import Metrics
    from proxy.web.sites import Sites


class Daemon:
    """One process of mailferry. `reactor` is Twisted's, not yet running."""

    def __init__(
        self,
        config: Config,
        reactor: Any,
        log: Any,
        *,
        handed: Handed | None = None,
        sockets: Sequence[Passed] = (),
    ) -> None:
        """Open what is in the state directory. `handed` is what an earlier daemon in this process has handed on,
        `sockets` those that are open already. Raises MailstoreError, NotAlone, OSError, ValueError (certificate)."""
        self.config = self._config = config
        self._reactor = reactor
        self._log = log
        self._stopping = False
        see_to_restoring(config.state)
        self._handed = handed
        self._database = databases.accounts(config)
        try:
            self._assemble(config, reactor, log, handed, sockets)
        except BaseException:
            self._database.close()
            raise

    def _assemble(
        self, config: Config, reactor: Any, log: Any, handed: Handed | None, sockets: Sequence[Passed]
    ) -> None:
        self._alone = Alone(config.state, None if handed is None else handed["lock"])
        self._tally = tally = Tally()
        self._moving = moving = Moving(config, self._database, reactor, log, tally=tally)
        self._homes, self._mover = moving.homes, moving.mover
        accounts, in_thread = moving.accounts, moving.threads.run
        hurrying = self._hurrying()
        self._homes.hurry = hurrying.hurry
        self._notes = LoginNotes(accounts, clock=reactor, in_thread=in_thread, log=log)
        self._gate = gate = LoginGate(
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
            tally=tally,
            hashing=Hashing(moving.hashers.run),
            asked=None if moving.beside is None else moving.beside.ceiling,
        )
        if moving.beside is not None:
            moving.beside.share_guesses(gate.throttle)
        self._readiness = Readiness(
            config,
            self._database,
            draining=lambda: self._draining.wished,
            workers=lambda: (1 if self._crew is None else self._crew.serving, config.worker_count),
            in_thread=in_thread,
            clock=reactor,
        )
        self._tls = server_tls(config.tls)
        self._renewing = self._renewer()
        self._sites = self._web(gate) if config.listen.web or config.listen.console else None
        self._fronts = Fronts(config.listen.proxied, reactor=reactor, log=log)  # of the web
        trusted = Trusted(config.trusted)
        terms = Terms(config.hostname, plaintext_login=config.tls.plaintext_login, trusted=trusted)
        self._asked = SaslFactory(gate.vouch, terms, log, reactor)
        passed = PassedSockets(sockets)
        self._listening = Listening(reactor, log.warning, passed)
        self._watched_at = Listening(reactor, log.warning, passed)  # by Prometheus and a load balancer, to the end
        self._crew: Crew | None = None
        self._serving: Serving | None = None
        if config.workers == 1 and handed is None:
            self._serving = Serving(config, gate, tls=self._tls, reactor=reactor, log=log, tally=tally)
        else:
            pair = None if self._tls is None else self._tls.pair
            self._crew = Crew(config, gate.admit, pair, reactor=reactor, log=log, tally=tally)
            self._homes.also_tell = self._crew.changed
            self._homes.also_in_vain = self._crew.in_vain
            self._crew.hurry = hurrying.hurry
            moving.has_sessions = self._crew.has_sessions
        self._draining = Draining(
            config.state, self._serves, moving, ease_pages=self._ease_pages, clock=reactor, log=log
        )
        self._lmtp = self._taking_mail() if config.listen.lmtp else None
        self._metrics = self._watched() if config.listen.metrics else None
        if handed is not None:
            gate.throttle.remember(handed["throttle"])
            moving.door.remember(handed["left"])
            self._mover.recently.remember(handed["recently"])
            tally.add(handed["tally"])

    @property
    def _serves(self) -> Serving | Crew:
        """Whoever has the sessions."""
        serves = self._serving or self._crew
        assert serves is not None
        return serves

    def _ease_pages(self) -> None:
        if self._sites is not None:
            self._sites.ease()

    def _hurrying(self) -> Hurrying:
        beside = self._moving.beside
        if beside is None:
            return Hurrying(self._mover, self._homes.in_vain, reactor=self._reactor)
        hurrying = Hurrying(self._mover, beside.in_vain, reactor=self._reactor)
        beside.hurry_by(hurrying)
        return hurrying

    def _web(self, gate: LoginGate) -> Sites:
        """Portal and console: in this process, however many workers there are, as the gate and the moves are."""
        from proxy.web.opening import open_sites  # noqa: PLC0415 - klein and Jinja2 cost half a second

        moving = self._moving
        return open_sites(
            self._config,
            self._database,
            moving.accounts,
            moving.sealer,
            gate,
            self._homes,
            moving.door,
            self._mover,
            tls=self._tls,
            health=self._readiness.answer,
            nodes=None if moving.beside is None else moving.beside.nodes,
            in_thread=moving.threads.run,
            reactor=self._reactor,
            log=self._log,
        )

    def _renewer(self) -> Renewing | None:
        tls = self._tls
        if tls is None:
            return None

        def renewed(pair: Pair) -> None:
            tls.renew(pair)
            if self._crew is not None:
                self._crew.renew(pair)

        in_thread = self._moving.threads.run
        return Renewing(self._config.tls, tls.pair, renewed, in_thread=in_thread, reactor=self._reactor, log=self._log)

    def _taking_mail(self) -> LmtpFactory:
        moving, config, crew = self._moving, self._config, self._crew
        counter = Delivering(
            config,
            moving.accounts,
            moving.homes,
            in_thread=moving.threads.run,
            log=self._log,
            tally=self._tally,
            elsewhere=(lambda _account: False) if crew is None else crew.has_sessions,
        )
        limits = Limits(message=config.lmtp.message_size)
        return LmtpFactory(counter, config.hostname, limits, log=self._log, tally=self._tally, clock=self._reactor)

    def _watched(self) -> Metrics:
        from proxy.daemon.metrics import Metrics  # noqa: PLC0415 - its library is for those who use it

        return Metrics(
            self._config,
            self._database,
            self._tally,
            self._moving,
            serving=self._serving,
            crew=self._crew,
            tls=self._tls,
            lmtp=self._lmtp,
            readiness=self._readiness,
            reactor=self._reactor,
            log=self._log,
        )

    async def start(self) -> None:
        """Listen, and go on with what was interrupted. Raises CannotListen, WorkerFailed."""
        await self._moving.begin()
        self._moving.prepare()
        endpoints = {name: getattr(self._config.listen, name) for name in (*PLAIN, *WITH_TLS)}
        if self._serving is not None:
            listening = await self._listening.open(endpoints, self._serving.factory)
        else:
            assert self._crew is not None
            if self._handed is not None:
                self._crew.adopt(self._handed["workers"], said=self._handed["said"])
            await self._crew.start()
            listening = await self._listening.open_for(endpoints, self._crew.hand_over)
        asked = {name: getattr(self._config.listen, name) for name in ASKED}
        listening += await self._listening.open(asked, lambda _service: self._asked)
        if self._lmtp is not None:
            lmtp = self._lmtp
            ends = {name: getattr(self._config.listen, name) for name in MAIL}
            listening += await self._listening.open(ends, lambda _service: lmtp)
        if self._sites is not None:
            pages = {name: getattr(self._config.listen, name) for name in WEB}
            listening += await self._listening.open(pages, self._page_factory)
            self._sites.begin()
        if self._metrics is not None:
            listening += await self._watched_at.open({"metrics": self._config.listen.metrics}, self._metrics.factory)
        self._listening.close_unused()
        self._take_waiting()
        workers = self._config.worker_count
        self._log.info("listening", on=listening, domains=sorted(self._config.domains), workers=workers)
        for warning in self._config.warnings:
            self._log.warning("configuration", about=str(warning))
        self._draining.start()
        await self._moving.rounds.start()
        if self._renewing is not None and not self._stopping:
            self._renewing.start()
        if self._handed is not None:
            self._log.info("reloaded")
            self._handed = None

    def _page_factory(self, listener: str) -> IProtocolFactory:
        assert self._sites is not None
        return self._fronts.before(listener, self._sites.factory(listener.removeprefix(PROXIED)))

    def _take_waiting(self) -> None:
        for descriptor, service in () if self._handed is None else self._handed["waiting"]:
            assert self._crew is not None
            self._crew.hand_over(socket.socket(fileno=descriptor), service)

    async def renew(self) -> None:
        """Show the certificate that is in its files now."""
        if self._renewing is not None and not self._stopping:
            await self._renewing.at_once()

    @property
    def replaceable(self) -> bool:
        """Can another daemon take over in this process? Not from one that serves its clients itself."""
        return self._crew is not None and not self._stopping

    def listening(self) -> Handed:
        """What a trial of another daemon has to know of this one."""
        return {"sockets": succession.of_sockets([*self._listening.opened, *self._watched_at.opened])}

    async def hand_on(self, *, workers: bool) -> Handed:
        """Come to rest for the daemon that takes over. Not, where not even the `workers` can go on under it: their
        sessions are answered the command that they are at and told good-bye."""
        assert self._crew is not None
        self._stopping = self._readiness.stopping = True
        opened = [*self._listening.rest(), *self._watched_at.rest()]
        self._crew.take_no_logins()
        await self._end_all_but_sessions()
        if workers:
            await self._crew.pause()
        else:
            await self._crew.stop()
        await self._end_watching()
        await self._notes.flush()
        await self._moving.close()
        self._database.close()
        if workers:
            await self._crew.pause()  # what they were told meanwhile has arrived, too
        waiting = self._crew.waiting()
        kept: dict[str, Any] = {
            "lock": self._alone.descriptor,
            "sockets": succession.of_sockets(opened),
            "workers": self._crew.kept() if workers else [],
            "waiting": [[connection.fileno(), service] for connection, service in waiting],
            "said": self._crew.said,
            "throttle": self._gate.throttle.remembered(),
            "left": self._moving.door.remembered(),
            "recently": self._mover.recently.remembered(),
            "tally": self._tally.take(),
        }
        for descriptor in (kept["lock"], *(s.socket.fileno() for s in opened), *(d for d, _ in kept["waiting"])):
            os.set_inheritable(descriptor, True)
        return kept

    async def _end_all_but_sessions(self) -> None:
        if self._renewing is not None:
            await self._renewing.stop()
        self._draining.stop()
        if self._lmtp is not None:
            await self._lmtp.drain()
        await self._asked.drain()
        self._fronts.end()
        if self._sites is not None:
            self._sites.end()
        await self._moving.end_moves()
        if self._sites is not None:
            await self._sites.ended()

    async def _end_watching(self) -> None:
        if self._metrics is not None:
            await self._metrics.end()
        await self._readiness.end()

    def status(self) -> str:
        """How it goes, in a line."""
        said = [
            _counted(len(self._config.domains), "domain"),
            _counted(self._serves.connections, "session"),
            _counted(self._moving.running, "move"),
        ]
        if self._draining.wished:
            said.insert(0, "draining")
        if self._crew is not None and self._crew.serving < self._config.worker_count:
            said.append(f"{self._crew.serving} of {self._config.worker_count} workers")
        if self._crew is not None and self._crew.retiring:
            said.append(f"{_counted(self._crew.retiring, 'worker')} retiring")
        return ", ".join(said)

    def lives(self) -> bool:
        """Is anybody served?"""
        return self._crew is None or self._stopping or self._crew.serving > 0

    async def stop(self) -> None:
        """Take no more, answer what is under way, end moves at their last barriers. Health checks are told to the
        end."""
        self._log.info("stopping")
        self._stopping = self._readiness.stopping = True
        await self._listening.close()
        await self._end_all_but_sessions()
        if self._serving is not None:
            await self._serving.drain()
        if self._crew is not None:
            await self._crew.stop()
        await self._watched_at.close()
        await self._end_watching()
        await self._notes.flush()
        await self._moving.close()
        self._database.close()
        self._alone.end()
        self._log.info("stopped")

    def hasten(self) -> None:
        """Stop without waiting for clients any more. Moves end at their last barriers all the same."""
        for each in (self._serving, self._crew):
            if each is not None:
                each.hasten()


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def serve(config: Config, sockets: Sequence[Passed] = (), handed: Handed | None = None) -> int:
    """Run the daemon until it is told to stop; gives back the exit status. `sockets` are those that systemd has passed,
    `handed` what an earlier daemon in this process has handed on. Call once in a process."""
    from twisted.internet import reactor as installed  # noqa: PLC0415 - each process has one of its own

    reactor: Any = installed
    log = logs.start()
    process.prepare(reactor)
    made_of = succession.stamps()
    systemd = Systemd(reactor, log, again=handed is not None)
    if handed is not None:
        sockets = succession.sockets_in(handed)
    try:
        if config.storage.server:
            wait_for_database(config, systemd.waiting, log)
        daemon = Daemon(config, reactor, log, handed=handed, sockets=sockets)
    except (MailstoreError, NotAlone, OSError, ValueError) as error:
        why = databases.reason(config, error) if isinstance(error, StorageFailed) else str(error)
        log.error("cannot start", reason=why)  # noqa: TRY400 - a line, no traceback
        return 1
    process.collect_less()
    return Life(daemon, systemd, made_of, reactor, log).run()
