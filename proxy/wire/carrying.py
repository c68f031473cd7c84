"""The connection below a session of a line protocol: it paces writing by what the client reads, gives up on one that
does not read, and closes. The session decides. `proxy.pop3.server`, `proxy.lmtp.server` and `proxy.sasl.server` add
what is their own.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IReactorTime, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from proxy.wire.outflow import Outflow


class Carrying(protocol.Protocol):
    """One connection, whatever is said over it."""

    transport: Any  # TCP, UNIX or TLS: no one interface says all that they have in common

    def __init__(self, clock: IReactorTime, stalled: float) -> None:
        """`stalled`: seconds after which a client that does not read is given up."""
        self._clock = clock
        self._outflow = Outflow(clock, stalled, self._stalled)
        self._closing: IDelayedCall | None = None
        self._lost = False

    def connectionMade(self) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self._outflow, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        self._outflow.stopProducing()

    # For the session

    @property
    def blocked(self) -> bool:
        return self._outflow.blocked

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_reading(self) -> None:
        self.transport.pauseProducing()

    def resume_reading(self) -> None:
        if not self._lost:
            self.transport.resumeProducing()

    def close(self) -> None:
        """Send what was written, then close; a client that does not read it is cut off in the end."""
        if self._lost or self._closing is not None:
            return
        self._closing = self._clock.callLater(self._patience(), self.transport.abortConnection)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _patience(self) -> float:
        """Seconds that a client has for reading the last of it."""
        raise NotImplementedError

    def _stalled(self) -> None:
        """It does not read."""
        raise NotImplementedError


class Running(Protocol):
    """A session that is one coroutine from its greeting to its end."""

    def run(self) -> Coroutine[Any, Any, None]:
        """Never raises."""

    def received(self, data: bytes) -> None: ...

    def input_ended(self) -> None: ...

    def lost(self) -> None: ...

    def drain(self) -> None: ...

    def log_end(self, reason: str) -> None: ...

    def log_fault(self, failure: Failure) -> None: ...


@implementer(IHalfCloseableProtocol)
class CarryingRun(Carrying):
    """One connection of such a session. It is gone when its session has come to its end too, which may still be storing
    what was said last."""

    _session: Running
    _done = False

    def begin(self, session: Running) -> None:
        """To be called when the connection is made."""
        self._session = session
        Deferred.fromCoroutine(session.run()).addBoth(self._ended)

    def dataReceived(self, data: bytes) -> None:
        self._session.received(data)

    def readConnectionLost(self) -> None:
        self._session.input_ended()

    def writeConnectionLost(self) -> None:
        """The reading side tells all that matters."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._session.lost()
        self._settle()

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
        if self._lost and self._done:
            self._gone()

    def _gone(self) -> None:
        """Both have ended."""
        raise NotImplementedError
