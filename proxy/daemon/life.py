"""The process from its start to its end, and what it is told meanwhile: by signals, and by systemd's questions.

SIGHUP: the configuration is read again. With a mistake in it, or where what is installed now would not start, nothing
changes. Where it is what it was, and the program too, the certificate is shown that is in its files now, and no more.
Otherwise another daemon takes over (`proxy.daemon.succession`).

SIGTERM, SIGINT: the end, within `STOP_SECONDS`; the same again: at once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstore.errors import MailstoreError
from proxy.config import Config, ConfigErrors, read
from proxy.daemon import succession
from proxy.daemon.crew import WorkerFailed
from proxy.daemon.listeners import CannotListen
from proxy.daemon.succession import Handed, Nature, Unlike
from proxy.daemon.systemd import Systemd
from proxy.daemon.trying import try_out
from proxy.wire.faults import kind, where

STOP_SECONDS: Final = 60.0  # for which clients are waited for; conf/systemd has twice as much for the whole end
GIVE_WAY_SECONDS: Final = 120.0  # a daemon that does not come to rest will not
_SIGNALS: Final = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


class Lives(Protocol):
    """The daemon, as it is needed here: see `proxy.daemon.service`."""

    @property
    def config(self) -> Config: ...

    @property
    def replaceable(self) -> bool: ...

    async def start(self) -> None: ...

    async def renew(self) -> None: ...

    def listening(self) -> Handed: ...

    async def hand_on(self, *, workers: bool) -> Handed: ...

    async def stop(self) -> None: ...

    def hasten(self) -> None: ...

    def status(self) -> str: ...

    def lives(self) -> bool: ...


class Life:
    """A daemon's."""

    def __init__(
        self, daemon: Lives, systemd: Systemd, made_of: Mapping[str, tuple[int, int]], reactor: Any, log: Any
    ) -> None:
        """`made_of` is what the program's files were like at its start (`succession.stamps`)."""
        self._daemon = daemon
        self._systemd = systemd
        self._made_of = made_of
        self._reactor = reactor
        self._log = log
        self._status = 0
        self._started = self._ending = False
        self._reloading = self._giving_way = False
        self._signalled: list[int] = []

    def run(self) -> int:
        """Returns the exit status."""
        signal.signal(signal.SIGHUP, self._signal)
        self._reactor.callWhenRunning(self._start)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        self._reactor.run()
        return self._status

    def _start(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, self._signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # held back while this daemon took over from another
        Deferred.fromCoroutine(self._daemon.start()).addCallbacks(self._ready, self._failed)

    def _ready(self, _result: object) -> None:
        self._started = True
        self._systemd.ready(self._daemon.status, self._daemon.lives)
        self._obey()

    def _failed(self, failure: Failure) -> None:
        self._status = 1
        if isinstance(failure.value, (CannotListen, MailstoreError, WorkerFailed)):
            self._log.error("cannot start", reason=failure.getErrorMessage())
        else:
            self._log.error("cannot start", error=kind(failure), where=where(failure))
        self._end()

    # Signals

    def _signal(self, number: int, _frame: object) -> None:
        self._signalled.append(number)
        self._reactor.callFromThread(self._obey)

    def _obey(self) -> None:
        """Do what signals ask for. While another daemon takes over they are kept for it."""
        if self._giving_way:
            return
        while any(number != signal.SIGHUP for number in self._signalled):
            self._signalled = [number for number in self._signalled if number == signal.SIGHUP]
            self._end()
        if self._signalled and self._started and not self._reloading:
            self._signalled.clear()
            if not self._ending:
                self._reload()

    # SIGHUP. Another that comes before the first is done is obeyed later: the file may have been written since.

    def _reload(self) -> None:
        self._reloading = True
        self._systemd.reloading()
        Deferred.fromCoroutine(self._read_again()).addErrback(self._reload_failed).addCallback(self._reloaded)

    def _reloaded(self, trouble: str) -> None:
        self._reloading = False
        self._systemd.reloaded(trouble)
        self._obey()

    def _reload_failed(self, failure: Failure) -> str:
        self._log.error("reload failed", error=kind(failure), where=where(failure))
        if self._giving_way:
            os._exit(1)
        return "see the log"

    async def _read_again(self) -> str:
        """Gives back what is wrong, for the status; "" if nothing is."""
        origin = self._daemon.config.origin
        try:
            data = read(Path(origin.source))
        except ConfigErrors as error:
            return self._refuse(str(error).splitlines(), "the configuration cannot be read")
        handed = {**self._daemon.listening(), **succession.of_configuration(data, self._daemon.config)}
        if data == origin.data and not succession.replaced(self._made_of):
            await self._daemon.renew()
            self._log.info("reloaded")
            return ""
        tried = await try_out(self._reactor, handed)
        if tried.mistakes:
            return self._refuse(tried.said, f"the configuration has mistakes ({len(tried.said)})")
        try:
            following = tried.nature()
            Nature.of(self._daemon.config).check(following)
        except Unlike as error:
            return self._refuse([str(error)], str(error))
        if not self._daemon.replaceable:
            await self._daemon.renew()
            why = "with workers = 1 a changed configuration or program takes a restart"
            return self._refuse([why], why)
        if not self._ending:
            await self._give_way(handed, following)
        return ""

    def _refuse(self, reasons: list[str], trouble: str) -> str:
        """Nothing has changed."""
        for reason in reasons:
            self._log.error("not reloaded", reason=reason.strip())
        return trouble

    async def _give_way(self, handed: Handed, following: Nature) -> None:
        """From here on there is no way back. Does not return: what goes wrong ends the process, whose workers then tell
        their sessions good-bye by themselves."""
        self._log.info("reloading")
        self._giving_way = True
        keeps = Nature.of(self._daemon.config).keeps_workers(following)
        if not keeps:
            self._reactor.callLater(STOP_SECONDS, self._daemon.hasten)
        handing_on = Deferred.fromCoroutine(self._daemon.hand_on(workers=keeps))
        memory = succession.in_memory({**handed, **await handing_on.addTimeout(GIVE_WAY_SECONDS, self._reactor)})
        self._systemd.taken_over()
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for number in self._signalled:
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        succession.succeed(memory, self._systemd.environment)

    # The end

    def _end(self) -> None:
        if self._ending:
            self._daemon.hasten()
        else:
            self._ending = True
            self._reactor.stop()

    def _stop(self) -> Deferred[None]:
        self._ending = True
        self._systemd.stopping()
        late = self._reactor.callLater(STOP_SECONDS, self._daemon.hasten)

        def over(result: Any) -> Any:
            if late.active():
                late.cancel()
            self._systemd.stopped()
            return result

        stopping = Deferred.fromCoroutine(self._daemon.stop()).addErrback(self._went_wrong)
        return stopping.addBoth(over)

    def _went_wrong(self, failure: Failure) -> None:
        self._log.error("stopping failed", error=kind(failure), where=where(failure))
