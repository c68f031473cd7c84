"""LMTP on Twisted: the connection below a session, and the factory that a listener is given.

Who can connect can hand in mail: that is for the listener's place to settle, a UNIX socket's mode or an address of a
network that only the mail server is in. There is neither login nor TLS.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory, Protocol

from proxy.lmtp.counter import Counter
from proxy.lmtp.errors import Ended
from proxy.lmtp.session import Limits, Session
from proxy.wire.carrying import CarryingRun
from proxy.wire.tally import Tally

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

CONNECTIONS: Final = 500
STALLED: Final = 120.0  # seconds after which a client that does not read is given up
FAREWELL: Final = 10.0  # … while the daemon stops


class LmtpProtocol(CarryingRun):
    """One connection: a session's `Wire`."""

    def __init__(self, factory: LmtpFactory) -> None:
        super().__init__(factory.clock, STALLED)
        self._factory = factory
        self.address = ""

    def connectionMade(self) -> None:
        self.address = str(getattr(self.transport.getPeer(), "host", ""))
        super().connectionMade()
        factory = self._factory
        factory.connections.add(self)
        session = Session(
            self,
            factory.counter,
            factory.hostname,
            factory.limits,
            log=factory.log.bind(peer=self.address or "unix"),
            tally=factory.tally,
            clock=factory.clock,
            now=factory.now,
        )
        self.begin(session)

    async def drained(self) -> None:
        if not await self._outflow.flows():
            raise Ended

    def _patience(self) -> float:
        return FAREWELL if self._factory.draining else STALLED

    def _gone(self) -> None:
        self._factory.gone(self)


class _Full(Protocol):
    """One connection too many."""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"421 4.3.2 too many connections, try again later\r\n")
        self.transport.loseConnection()


class LmtpFactory(Factory):
    """Makes sessions for all listeners."""

    noisy = False

    def __init__(
        self,
        counter: Counter,
        hostname: str,
        limits: Limits,
        *,
        log: FilteringBoundLogger,
        tally: Tally,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.counter = counter
        self.hostname = hostname
        self.limits = limits
        self.log = log
        self.tally = tally
        self.clock = clock
        self.now = now
        self.connections: set[LmtpProtocol] = set()
        self.draining = False
        self._drained: list[Deferred[None]] = []

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        if self.draining:
            return None
        if len(self.connections) >= CONNECTIONS:
            self.log.warning("lmtp connection refused", reason="too many at once")
            return _Full()
        return LmtpProtocol(self)

    def drain(self) -> Deferred[None]:
        """Have every session end as soon as the message that it has is stored and answered. Fires when all have."""
        self.draining = True
        for connection in tuple(self.connections):
            connection.drain()
        if not self.connections:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._drained.append(done)
        return done

    def gone(self, connection: LmtpProtocol) -> None:
        self.connections.discard(connection)
        if not self.connections:
            waiting, self._drained = self._drained, []
            for each in waiting:
                each.callback(None)
