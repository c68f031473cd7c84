"""One TCP connection to a legacy server: a transport under a `Machine`, with TLS, time and an end.

Whatever ends it (the server, the network, time, nonsense, a sink that fails, `abort`) is told once to all who
wait for an answer, and then the transport is gone. The first reason counts. Nothing is retried here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast

from twisted.internet import error as net
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
    ITLSTransport,
)
from twisted.internet.protocol import Protocol as TransportUser
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from proxy.legacy.encryption import Encryption, encryption_of
from proxy.legacy.errors import BareLineEnds, LegacyError, LegacyTimeout, LegacyUnreachable, TlsFailed
from proxy.legacy.patience import Patience
from proxy.legacy.settings import Legacy
from proxy.legacy.tls import check_identity, client_options
from proxy.legacy.tls_faults import explain


class Expected(Protocol):
    """What a server owes for a command."""

    @property
    def slow(self) -> bool:
        """May the server have to open or walk the mailbox first?"""

    def awaited(self) -> str:
        """What is waited for, to end a sentence such as "closed in the middle of …"."""

    def failed(self, error: Exception) -> None:
        """No answer will come. May be called more than once."""


E = TypeVar("E", bound=Expected)


class Machine(Protocol[E]):
    """One protocol from the client's side without I/O: bytes in, answers out."""

    answered: int  # answers that came whole

    @property
    def awaited(self) -> E | None:
        """Whose answer comes next, or is arriving."""

    @property
    def outstanding(self) -> bool: ...

    @property
    def under_way(self) -> bool:
        """Has some of the next answer come?"""

    @property
    def bare_end(self) -> bool:
        """Does what has come of an answer look like its end, but for a line end that is a bare LF?"""

    def take_bare_line_ends(self) -> None:
        """Lines of blocks may end in a bare LF, whatever those of answers do."""

    def expect(self, expectation: E, times: int = 1) -> None:
        """The next `times` commands sent are answered to `expectation`."""

    def receive(self, data: bytes) -> None:
        """Take what came. Raises LegacyProtocolError, after which the connection is of no use."""

    def stop(self, error: Exception) -> None:
        """The connection is over: everybody who waits is told."""


READ = 192 * 1024  # octets that are read at once, where there are so many


@implementer(IHandshakeListener)
class Wire(TransportUser, Generic[E]):
    """The connection. Made by an endpoint's factory, used by a client's `Connection` only."""

    transport: ITCPTransport

    def __init__(self, clock: IReactorTime, legacy: Legacy, machine: Machine[E]) -> None:
        self.encrypted = False
        self.over: LegacyError | None = None  # why the connection is of no use any more
        self.idle: Callable[[], None] = lambda: None  # called when no answer is owed any more
        self._legacy = legacy
        self._machine = machine
        self._patience = Patience(clock, self._limit, lambda: self._machine.answered, self._expired)
        self._clock = clock
        self._handshake: Deferred[None] | None = None
        self._up = False
        self._closing: list[Deferred[None]] = []
        self._paused: set[object] = set()  # why it is not read from

    def ask(self, command: bytes, expectation: E, times: int = 1) -> None:
        """Send `times` commands in one write; their answers go to `expectation`. b"" waits for the greeting."""
        if self.over is not None:
            expectation.failed(self.over)
            return
        self._machine.expect(expectation, times)
        self._patience.wait()
        if command:
            self.transport.write(command)

    def answer(self, line: bytes) -> None:
        """Send a line that no answer belongs to: a step of a SASL exchange."""
        self.transport.write(line)

    @property
    def outstanding(self) -> bool:
        return self._machine.outstanding

    @property
    def encryption(self) -> Encryption | None:
        """How it is encrypted; None where it is not, or is gone."""
        if not (self.encrypted and self._up):
            return None
        return encryption_of(cast(Any, self.transport).getHandle())

    def take_bare_line_ends(self) -> None:
        """Lines of blocks may end in a bare LF, whatever those of answers do."""
        self._machine.take_bare_line_ends()

    def pause(self, why: object = None) -> None:
        """Read no more until `resume` for the same reason, or the last of them. What was read already (at most
        192 KiB) is still handed on."""
        if self.over is None and not self._paused:
            self._patience.pause()
            cast(IPushProducer, self.transport).pauseProducing()
        self._paused.add(why)

    def resume(self, why: object = None) -> None:
        if why not in self._paused:
            return
        self._paused.discard(why)
        if self.over is None and not self._paused:
            self._patience.resume(owed=self._machine.outstanding)
            cast(IPushProducer, self.transport).resumeProducing()

    async def start_tls(self) -> None:
        """Encrypt from here on. Returns when the server has proved who it is. Raises TlsFailed, LegacyTimeout."""
        options: IOpenSSLClientConnectionCreator = client_options(self._legacy)
        done: Deferred[None] = Deferred(self._cancelled)
        self._handshake = done
        timer = self._clock.callLater(
            self._legacy.connect_timeout, self.end, LegacyTimeout("the TLS handshake took too long")
        )
        cast(ITLSTransport, self.transport).startTLS(options)
        try:
            await done
        finally:
            if timer.active():
                timer.cancel()
        self.encrypted = True

    def abort(self) -> None:
        """Drop the connection at once. Idempotent."""
        self.end(LegacyUnreachable("the connection was given up"))

    def end(self, error: Exception) -> None:
        """Drop the connection because of `error`, and tell all who wait."""
        if self.over is None:
            self._stop(error)
        if self._up:
            self.transport.abortConnection()

    def close(self) -> None:
        """Close the connection in good order."""
        self._stop(LegacyUnreachable("the connection was closed"))
        self.transport.loseConnection()

    async def gone(self) -> None:
        """Returns when the transport has gone."""
        if self._up:
            waiter: Deferred[None] = Deferred()
            self._closing.append(waiter)
            await waiter

    # What the transport calls.

    def connectionMade(self) -> None:
        self._up = True
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self.transport.bufferSize = READ  # type: ignore[attr-defined]  # Twisted's own is meant for short lines

    def handshakeCompleted(self) -> None:
        if self.over is not None:
            return
        try:
            check_identity(cast(Any, self.transport).getHandle(), self._legacy)
        except TlsFailed as error:
            self.end(error)
            return
        done, self._handshake = self._handshake, None
        if done is not None and not done.called:
            done.callback(None)

    def dataReceived(self, data: bytes) -> None:
        if self.over is not None:
            return
        self._patience.heard(len(data))
        if self._legacy.bandwidth is not None:
            self._legacy.bandwidth.took(self, len(data))
        try:
            self._machine.receive(data)
        except Exception as error:  # noqa: BLE001  the one place: whatever it is ends the connection, told to who waits
            self.end(error)
            return
        if not self._machine.outstanding:
            self._patience.settled()
            self.idle()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._up = False
        if self.over is None:
            self._stop(self._lost(cast(Exception, reason.value)))
        waiting, self._closing = self._closing, []
        for waiter in waiting:
            waiter.callback(None)

    def _cancelled(self, _handshake: Deferred[None]) -> None:
        self._handshake = None  # it gets its CancelledError by itself
        self.abort()

    def _stop(self, error: Exception) -> None:
        # What a sink raised is told to who waits for it now, not to who asks for something later.
        given_up = LegacyUnreachable("the connection was given up")
        self.over = error if isinstance(error, LegacyError) else given_up
        self._patience.settled()
        self._machine.stop(error)
        self.idle()
        done, self._handshake = self._handshake, None
        if done is not None and not done.called:
            done.errback(error)

    def _lost(self, why: Exception) -> LegacyError:
        """What a lost connection means, in words."""
        if self._handshake is not None:
            secure = ISSLTransport.providedBy(self.transport)
            return explain(why, cast(Any, self.transport).getHandle() if secure else None, self._legacy)
        awaited = self._machine.awaited
        how = "was reset" if isinstance(why, net.ConnectionLost) else "was closed by the server"
        if awaited is None:
            return LegacyUnreachable(f"the connection {how}")
        where = "in the middle of" if self._machine.under_way else "while it owed"
        return LegacyUnreachable(f"the connection {how} {where} {awaited.awaited()}")

    def _limit(self) -> float:
        awaited = self._machine.awaited
        slow = awaited is not None and awaited.slow
        return self._legacy.slow_timeout if slow else self._legacy.reply_timeout

    def _expired(self, what: str) -> None:
        awaited = self._machine.awaited
        owed = awaited.awaited() if awaited is not None else "an answer"
        if self._machine.bare_end:
            self.end(BareLineEnds(f"the server {what} behind {owed}, whose last lines end in a bare line feed"))
        else:
            self.end(LegacyTimeout(f"the server {what} while it owed {owed}"))
