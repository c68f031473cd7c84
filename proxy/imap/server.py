"""The IMAP server on Twisted: connections, their time limits, TLS, and a quiet end.

`ImapFactory` is one listener's factory; `daemon` makes it, and calls `drain` before the process ends.
A connection owns its session and its timers and knows no command. Time limits (RFC 3501 5.4):
`login_timeout` until somebody has logged in, without the time that the gate itself takes to answer;
`idle_timeout` between two commands; `stalled_timeout` for a client that does not read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
    ITLSTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from proxy.imap.outgoing import Outgoing
from proxy.imap.session import Session
from proxy.imap.state import State
from proxy.imap.surroundings import Log
from proxy.wire.door import Gate, Terms
from proxy.wire.peers import peer_of
from proxy.wire.trusted import plain_address

SHUTTING_DOWN = b"Server is shutting down."
MOVE_ON = b"Server is going out of service, connect again."
TOO_MANY = b"Too many connections that have not logged in."
IN_MEMORY = 256 * 1024  # a message handed in by APPEND is kept in memory up to this size


def spooled(directory: Path | None = None) -> IO[bytes]:
    """A file for a message on its way in, on disk once it is large; it has no name, and is gone when it is closed."""
    return cast(
        IO[bytes], tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, dir=None if directory is None else str(directory))
    )


def _not_counted() -> None:
    """Nobody counts this connection among those that have not logged in."""


@implementer(IHalfCloseableProtocol)
class ImapConnection(Protocol):
    """One client's connection."""

    def __init__(self, factory: ImapFactory) -> None:
        self.peer = ""
        self.secure = False
        self.loopback = False
        self.lost: Deferred[None] = Deferred()
        self._factory = factory
        self._arrived: Callable[[], None] = _not_counted
        self._stranger = True
        self._paused = False
        self._closing = False
        self._eased = False  # told to go by a node that goes out of service
        self._timer: IDelayedCall | None = None
        self._address = ""  # what the transport has, whoever speaks
        self._heard = factory.clock.seconds()  # when the client last said something

    # From the transport

    def connectionMade(self) -> None:
        factory, transport = self._factory, self.transport
        assert transport is not None
        self._address, self.loopback = peer_of(transport.getPeer(), "local")
        self.peer = self._address
        self.secure = ISSLTransport.providedBy(transport)
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)  # an idling client that is switched off is noticed in the end
        limits = factory.terms.limits
        self._out = Outgoing(transport, factory.clock, limits.stalled_timeout, self._stalled)
        cast(IConsumer, transport).registerProducer(self._out, True)
        self.session = Session(self, self._out, factory.gate, factory.terms, factory.log, factory.clock, factory.spool)
        factory.connections.add(self)
        admitted = factory.terms.arrivals.admit(self.peer)
        if admitted is None:
            self.session.log.warning(
                "imap connection refused", peer=self.peer, reason="too many that have not logged in"
            )
            self.session.leave(TOO_MANY)
            return
        self._arrived = admitted
        if factory.draining:
            self.session.leave(SHUTTING_DOWN)
            return
        self._timer = factory.clock.callLater(limits.login_timeout, self._timed_out)
        self.session.greet()

    def dataReceived(self, data: bytes) -> None:
        if self._closing:
            return
        self._heard = self._factory.clock.seconds()
        if self.session.state is not State.NOT_AUTHENTICATED:
            self._restart_timer()
        self.session.received(data)

    def readConnectionLost(self) -> None:
        self.session.input_ended()

    def writeConnectionLost(self) -> None:
        """The reading side tells all that matters."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_timer()
        self._closing = True
        self.arrived()
        self.session.connection_lost()
        self._factory.connections.discard(self)
        self._factory.closed()
        self.lost.callback(None)

    # For a node that goes out of service (`proxy.daemon.easing`)

    def quiet_for(self) -> float:
        session = self.session
        busy = (session.running and not session.idling) or session.intake.reader.unfinished
        if busy or session.state is State.NOT_AUTHENTICATED:
            return 0.0
        return self._factory.clock.seconds() - self._heard

    def leave(self) -> None:
        self._eased = True
        self.session.leave(MOVE_ON)

    # For the session

    def speak_for(self, address: str) -> bool:
        spoken_for = plain_address(address)
        if spoken_for is None or not self._factory.terms.trusted.covers(self._address):
            return True
        admitted = self._factory.terms.arrivals.admit(str(spoken_for))
        if admitted is None:
            return False
        self._arrived()
        self._arrived = admitted
        self.peer = str(spoken_for)
        return True

    def arrived(self) -> None:
        self._stranger = False
        self._arrived()

    def departed(self) -> bool:
        factory = self._factory
        admitted = factory.terms.arrivals.admit(self.peer)
        if admitted is None:
            return False
        self._arrived, self._stranger = admitted, True
        self._stop_timer()
        self._timer = factory.clock.callLater(factory.terms.limits.login_timeout, self._timed_out)
        return True

    def start_tls(self) -> None:
        transport = cast(ITLSTransport, self.transport)
        transport.startTLS(cast(Any, self._factory.terms.tls))
        self.secure = True

    def pause(self) -> None:
        if not self._paused and self.transport is not None:
            self._paused = True
            cast(Any, self.transport).pauseProducing()

    def resume(self) -> None:
        if self._paused and not self._closing and self.transport is not None:
            self._paused = False
            cast(Any, self.transport).resumeProducing()

    def close(self) -> None:
        self._closing = True
        self._stop_timer()
        assert self.transport is not None
        cast(IConsumer, self.transport).unregisterProducer()
        self._out.close()
        self.transport.loseConnection()
        # The goodbye may be waiting behind what the client does not read, or for the end of a TLS handshake.
        limits = self._factory.terms.limits
        hurried = self._factory.draining or self._stranger or self._eased
        patience = limits.farewell_timeout if hurried else limits.stalled_timeout
        self._timer = self._factory.clock.callLater(patience, self._abort)

    # Time limits

    def _restart_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.reset(self._factory.terms.limits.idle_timeout)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _timed_out(self) -> None:
        """Too long without a login, or without a command."""
        limits = self._factory.terms.limits
        session = self.session
        before_login = session.state is State.NOT_AUTHENTICATED
        if session.held_login is not None or (session.running and not before_login):
            # The server is at work, or IDLE, which has its own limit.
            later = limits.login_timeout if before_login else limits.idle_timeout
            self._timer = self._factory.clock.callLater(later, self._timed_out)
            return
        self._timer = None
        session.leave(b"Disconnected for inactivity." if not before_login else b"Too long without a login.")

    def _stalled(self) -> None:
        self.session.reason = "the client does not read"
        self._abort()

    def _abort(self) -> None:
        self._stop_timer()
        cast(Any, self.transport).abortConnection()


class ImapFactory(Factory):
    """Makes the connections of one listener, and knows those that are alive."""

    noisy = False

    def __init__(
        self,
        gate: Gate,
        terms: Terms,
        log: Log,
        clock: IReactorTime,
        spool: Callable[[], IO[bytes]] = spooled,
        closed: Callable[[], None] = _not_counted,
    ) -> None:
        """`spool` opens a file for a message that a client hands in; `closed` is called when a connection has ended."""
        self.closed = closed
        self.gate = gate
        self.terms = terms
        self.log = log
        self.clock = clock
        self.spool = spool
        self.draining = False
        self.connections: set[ImapConnection] = set()

    def buildProtocol(self, addr: IAddress | None) -> ImapConnection:
        return ImapConnection(self)

    def drain(self) -> Deferred[None]:
        """Let every session answer its current command, say BYE and close; fires when all are gone.

        A held login is answered NO [UNAVAILABLE]. Who connects from here on is told BYE.
        """
        self.draining = True
        connections = list(self.connections)
        waiting = DeferredList([connection.lost for connection in connections])
        for connection in connections:
            connection.session.leave(SHUTTING_DOWN)
        return waiting.addCallback(lambda _: None)
