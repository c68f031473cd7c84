"""POP3 on Twisted: the connection below a session, and the factory that a listener is given.

The session decides, the connection carries: it paces writing by what the client reads, gives up on one that
does not read, begins TLS, and closes. `Pop3Factory(gate, terms, log, clock)` is all that the daemon uses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from structlog.typing import FilteringBoundLogger
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from proxy.pop3.errors import Ended
from proxy.pop3.session import Session
from proxy.wire.door import Gate, Terms
from proxy.wire.outflow import Outflow


@implementer(IHalfCloseableProtocol)
class Pop3Protocol(Protocol):
    """One connection: a session's `Wire`."""

    transport: Any  # TCP, UNIX or TLS: no one interface says all that they have in common

    def __init__(self, factory: Pop3Factory, arrived: Callable[[], None]) -> None:
        """`arrived` tells that the connection is no longer one that has not logged in."""
        self._factory = factory
        self._arrived = arrived
        self._outflow = Outflow(factory.clock, factory.terms.limits.stalled_timeout, self._stalled)
        self._closing: IDelayedCall | None = None
        self._lost = False
        self._done = False
        self._tls_started = False
        self.peer = ""
        self.loopback = False

    # From Twisted

    def connectionMade(self) -> None:
        self.peer, self.loopback = _who(self.transport.getPeer())
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self._outflow, True)
        factory = self._factory
        self._session = Session(self, factory.gate, factory.terms, factory.log, factory.clock)
        factory.connections.add(self)
        Deferred.fromCoroutine(self._session.run()).addBoth(self._ended)

    def dataReceived(self, data: bytes) -> None:
        self._session.received(data)

    def readConnectionLost(self) -> None:
        self._session.input_ended()

    def writeConnectionLost(self) -> None:
        """The reading side tells all that matters."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._lost = True
        self._arrived()
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        self._outflow.stopProducing()
        self._factory.closed()
        self._session.lost()
        self._settle()

    # For the session

    @property
    def secure(self) -> bool:
        return self._tls_started or ISSLTransport.providedBy(self.transport)

    @property
    def blocked(self) -> bool:
        return self._outflow.blocked

    def arrived(self) -> None:
        self._arrived()

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    async def drained(self) -> None:
        if not await self._outflow.flows():
            raise Ended

    def pause_reading(self) -> None:
        self.transport.pauseProducing()

    def resume_reading(self) -> None:
        if not self._lost:
            self.transport.resumeProducing()

    def start_tls(self) -> None:
        self._tls_started = True
        self.transport.startTLS(self._factory.terms.tls)

    def close(self) -> None:
        """Send what was written, then close; a client that does not read it is cut off in the end."""
        if self._lost or self._closing is not None:
            return
        limits = self._factory.terms.limits
        patience = limits.farewell_timeout if self._factory.draining else limits.stalled_timeout
        self._closing = self._factory.clock.callLater(patience, self.transport.abortConnection)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    # Within

    def drain(self) -> None:
        self._session.drain()

    def _stalled(self) -> None:
        self._session.log_end("the client does not read")
        self.transport.abortConnection()

    def _ended(self, result: object) -> None:
        if isinstance(result, Failure):  # run() never raises: a defect, and the connection must not outlive it
            self._session.log_fault(result)
            self.transport.abortConnection()
        self._done = True
        self._settle()

    def _settle(self) -> None:
        """Gone is a connection whose session has come to its end too: it may still be removing what QUIT said."""
        if self._lost and self._done:
            self._factory.gone(self)


def _who(address: IAddress) -> tuple[str, bool]:
    """The client's address for logs and limits, and whether it is this machine."""
    if isinstance(address, UNIXAddress):
        return "unix", True
    host = str(getattr(address, "host", "unknown"))
    try:
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host, False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return host, (mapped or parsed).is_loopback


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
        peer = _who(addr)[0] if addr is not None else "unknown"
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
