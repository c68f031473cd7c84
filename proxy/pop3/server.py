"""POP3 on Twisted: the connection below a session, and the factory that a listener is given.

The session decides, the connection carries (`proxy.wire.carrying`), and begins TLS.
`Pop3Factory(gate, terms, log, clock)` is all that the daemon uses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime, ISSLTransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from proxy.pop3.errors import Ended
from proxy.pop3.session import Session
from proxy.wire.carrying import CarryingRun
from proxy.wire.door import Gate, Terms
from proxy.wire.peers import peer_of

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

UNIX = "unix"  # what a UNIX socket's clients are called


class Pop3Protocol(CarryingRun):
    """One connection: a session's `Wire`."""

    def __init__(self, factory: Pop3Factory, arrived: Callable[[], None]) -> None:
        """`arrived` tells that the connection is no longer one that has not logged in."""
        super().__init__(factory.clock, factory.terms.limits.stalled_timeout)
        self._factory = factory
        self._arrived = arrived
        self._stranger = True
        self._eased = False  # told to go by a node that goes out of service
        self._tls_started = False
        self._heard = factory.clock.seconds()  # when the client last said something
        self.peer = ""
        self.loopback = False

    _session: Session

    def connectionMade(self) -> None:
        self.peer, self.loopback = peer_of(self.transport.getPeer(), UNIX)
        super().connectionMade()
        factory = self._factory
        factory.connections.add(self)
        self.begin(Session(self, factory.gate, factory.terms, factory.log, factory.clock))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._arrived()
        self._factory.closed()
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        self._heard = self._factory.clock.seconds()
        super().dataReceived(data)

    # For a node that goes out of service (`proxy.daemon.easing`)

    def quiet_for(self) -> float:
        return self._factory.clock.seconds() - self._heard if self._session.waits else 0.0

    def leave(self) -> None:
        self._eased = True
        self.drain()

    # For the session

    @property
    def secure(self) -> bool:
        return self._tls_started or ISSLTransport.providedBy(self.transport)

    def arrived(self) -> None:
        self._stranger = False
        self._arrived()

    async def drained(self) -> None:
        if not await self._outflow.flows():
            raise Ended

    def start_tls(self) -> None:
        self._tls_started = True
        self.transport.startTLS(self._factory.terms.tls)

    # Within

    def _patience(self) -> float:
        """Little for one that has not logged in: it may never end its TLS handshake."""
        limits = self._factory.terms.limits
        hurried = self._factory.draining or self._stranger or self._eased
        return limits.farewell_timeout if hurried else limits.stalled_timeout

    def _gone(self) -> None:
        self._factory.gone(self)


def _unnoticed() -> None:
    """Nobody counts connections."""


class Pop3Factory(Factory):
    """Makes sessions for one listener."""

    noisy = False

    def __init__(
        self,
        gate: Gate,
        terms: Terms,
        log: FilteringBoundLogger,
        clock: IReactorTime,
        closed: Callable[[], None] = _unnoticed,
    ) -> None:
        """`closed` is called when a connection has ended."""
        self.closed = closed
        self.gate = gate
        self.terms = terms
        self.log = log
        self.clock = clock
        self.connections: set[Pop3Protocol] = set()
        self._draining: list[Deferred[None]] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Pop3Protocol | None:
        if self._draining is not None:
            self.closed()
            return None
        peer = peer_of(addr, UNIX)[0]
        arrived = self.terms.arrivals.admit(peer)
        if arrived is None:
            self.log.warning("pop3 connection refused", peer=peer, reason="too many that have not logged in")
            self.closed()
            return None
        return Pop3Protocol(self, arrived)

    @property
    def draining(self) -> bool:
        return self._draining is not None

    def drain(self) -> Deferred[None]:
        """Have every session end as soon as its command in progress is answered. Fires when all have."""
        if self._draining is None:
            self._draining = []
        for connection in tuple(self.connections):
            connection.drain()
        if not self.connections:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._draining.append(done)
        return done

    def gone(self, connection: Pop3Protocol) -> None:
        self.connections.discard(connection)
        if self._draining is not None and not self.connections:
            waiting, self._draining = self._draining, []
            for each in waiting:
                each.callback(None)
