"""The password service on Twisted: the connection below a session, and the factory that the listeners are given.

`SaslFactory(vouch, terms, log, clock)` is all that the daemon uses. Connections stay open as long as the client wants:
each of Postfix's processes has one.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IReactorTime, ITCPTransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from proxy.sasl.session import ALL_AT_ONCE, AT_ONCE, Session, Vouch
from proxy.wire.arrivals import Arrivals
from proxy.wire.carrying import Carrying
from proxy.wire.door import Terms
from proxy.wire.peers import peer_of

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

CONNECTIONS: Final = 1_000


class SaslConnection(Carrying):
    """One connection: a session's `Wire`."""

    def __init__(self, factory: SaslFactory, number: int, peer: str, *, loopback: bool) -> None:
        super().__init__(factory.clock, factory.terms.limits.stalled_timeout)
        self._factory = factory
        self._number = number
        self.peer = peer
        self.loopback = loopback
        self.believed = loopback or factory.terms.trusted.covers(peer)

    # From Twisted

    def connectionMade(self) -> None:
        super().connectionMade()
        factory = self._factory
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpKeepAlive(True)
        factory.connections.add(self)
        self._session = Session(
            self,
            factory.vouch,
            factory.terms,
            factory.log,
            factory.clock,
            connection=self._number,
            places=factory.places,
        )
        self._session.begin()

    def dataReceived(self, data: bytes) -> None:
        if self._closing is not None:
            return
        if self.blocked:  # it asks and does not read the answers
            self._stalled()
            return
        self._session.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._session.lost()
        self._factory.gone(self)

    # For the session

    def abort(self) -> None:
        """Over TCP with a reset: a client that only reads when it has written would write into the void otherwise."""
        if not self._lost:
            self.transport.abortConnection()

    # Within

    def drain(self) -> None:
        self._session.drain()

    def _patience(self) -> float:
        return self._factory.terms.limits.farewell_timeout

    def _stalled(self) -> None:
        self._factory.log.info("submission session ended", peer=self.peer, reason="the client does not read")
        self.transport.abortConnection()


class SaslFactory(Factory):
    """Makes sessions for all listeners."""

    noisy = False

    def __init__(self, vouch: Vouch, terms: Terms, log: FilteringBoundLogger, clock: IReactorTime) -> None:
        self.vouch = vouch
        self.terms = terms
        self.log = log
        self.clock = clock
        self.connections: set[SaslConnection] = set()
        self.places = Arrivals(AT_ONCE, ALL_AT_ONCE)
        self._numbers = count(1)
        self._drained: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> SaslConnection | None:
        peer, loopback = peer_of(addr, "unix")
        if self._drained is not None:
            return None
        if len(self.connections) >= CONNECTIONS:
            self.log.warning("submission connection refused", peer=peer, reason="too many")
            return None
        return SaslConnection(self, next(self._numbers), peer, loopback=loopback)

    def drain(self) -> Deferred[None]:
        """Have all who wait come again later. Fires when all connections have ended."""
        self._drained = Deferred()
        for connection in tuple(self.connections):
            connection.drain()
        self._settle()
        return self._drained

    def gone(self, connection: SaslConnection) -> None:
        self.connections.discard(connection)
        self._settle()

    def _settle(self) -> None:
        if self._drained is not None and not self._drained.called and not self.connections:
            self._drained.callback(None)
