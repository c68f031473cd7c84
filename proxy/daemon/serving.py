"""What answers clients: the protocols of each service, with the gate that they ask. One in each process that serves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IProtocolFactory

from proxy.config import Config
from proxy.config.endpoints import PROXIED
from proxy.daemon.easing import Easing
from proxy.daemon.fronted import Fronts
from proxy.daemon.listeners import PLAIN, WITH_TLS
from proxy.daemon.tls import ServerTls
from proxy.daemon.tls_writing import WholeWritesFactory
from proxy.imap.server import ImapFactory, spooled
from proxy.pop3.server import Pop3Factory
from proxy.wire.arrivals import ALL, EACH, Arrivals
from proxy.wire.door import Gate, Terms
from proxy.wire.tally import Tally
from proxy.wire.trusted import Trusted


def _unnoticed() -> None:
    """Nobody counts connections."""


class Serving:
    """The protocol factories of all services, by name."""

    def __init__(
        self,
        config: Config,
        gate: Gate,
        *,
        tls: ServerTls | None,
        reactor: Any,
        log: Any,
        share: int = 1,
        closed: Callable[[], None] = _unnoticed,
        tally: Tally | None = None,
    ) -> None:
        """`share`: among how many processes the connections are shared out; `closed` is called when one has ended."""
        self._state = config.state
        self._reactor = reactor
        arrivals = Arrivals(-(-EACH // share), -(-ALL // share))
        terms = Terms(
            config.hostname,
            tls,
            config.tls.plaintext_login,
            arrivals=arrivals,
            tally=tally or Tally(),
            trusted=Trusted(config.trusted),
        )
        self._imap = ImapFactory(gate, terms, log, reactor, self._spool, closed)
        self._pop3 = Pop3Factory(gate, terms, log, reactor, closed)
        self._easing = Easing(lambda: [*self._imap.connections, *self._pop3.connections], reactor, log)
        self._fronts = Fronts(config.listen.proxied, reactor=reactor, log=log, closed=closed)
        plain: dict[str, Any] = {"imap": self._imap, "pop3": self._pop3}
        self._factories = {service: plain[service] for service in PLAIN}
        if tls is not None:
            for service in WITH_TLS:
                inner = plain[service.removesuffix("s")]
                self._factories[service] = WholeWritesFactory(tls, False, inner, reactor)

    def factory(self, service: str) -> IProtocolFactory:
        """What makes the connections of a service, also of "haproxy:" and a service."""
        return self._fronts.before(service, self._factories[service.removeprefix(PROXIED)])

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._imap.connections) + len(self._pop3.connections)

    def _spool(self) -> IO[bytes]:
        """On the disk that the message is for: the system's own temporary directory may be memory."""
        return spooled(Path(self._state))

    @property
    def open(self) -> dict[str, int]:
        """How many connections there are, by protocol."""
        return {"imap": len(self._imap.connections), "pop3": len(self._pop3.connections)}

    def ease(self, within: float | None) -> None:
        """Have every session end when it suits it, within so many seconds; None: not any more. Who connects meanwhile
        is served."""
        if within is None:
            self._easing.end()
        else:
            self._easing.begin(within)

    def drain(self) -> Deferred[Any]:
        """Have every session answer its current command, and end. Fires when all have."""
        self._fronts.end()
        self._easing.end()
        return gatherResults([self._imap.drain(), self._pop3.drain()])

    def hasten(self) -> None:
        """Have them end now, whatever they are at: what their clients were not told yet they are not told."""
        self._fronts.end()
        for connection in [*self._imap.connections, *self._pop3.connections]:
            transport: Any = connection.transport
            transport.abortConnection()
