"""A network in memory, on a clock that is handed in: what two programs send each other, and nothing else.

Time stands still while there is anything to deliver, and then leaps to whatever somebody waits for, so that an hour
of silence costs nothing and every run is the same. A connection is two `End`s, which are transports: bytes come in
pieces of at most what TCP's buffers give, TLS can be laid over it, and either end can close, or reset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet import error as net
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IProtocol, ISSLTransport
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import directlyProvides

PIECE = 64 * 1024  # octets of one read
MOST_EVENTS = 5_000_000  # whatever goes on for longer goes on for ever

_CLOSED, _RESET = net.ConnectionDone(), net.ConnectionLost()


class Network:
    """All connections of one test, and its clock. `listener` makes the server's side of each new one."""

    def __init__(self, listener: Callable[[int], IProtocol]) -> None:
        self.clock = Clock()
        self.connections = 0
        self.refuse: Callable[[int], Exception | None] = lambda _number: None  # what becomes of connecting, by number
        self._listener = listener
        self._busy: deque[End] = deque()  # ends that have something to take

    def endpoint(self, _reactor: Any, _host: str, _port: int, timeout: float) -> _Endpoint:
        """In the place of Twisted's HostnameEndpoint."""
        return _Endpoint(self, timeout)

    def connect(self, factory: Any, timeout: float) -> Deferred[Any]:
        self.connections += 1
        number = self.connections
        refusal = self.refuse(number)
        if isinstance(refusal, net.TimeoutError):
            waiting: Deferred[Any] = Deferred()
            self.clock.callLater(timeout, waiting.errback, refusal)
            return waiting
        if refusal is not None:
            return fail(refusal)
        here, there = End(self, client=True), End(self, client=False)
        here.peer, there.peer = there, here
        client = factory.buildProtocol(None)
        there.join(self._listener(number))
        here.join(client)
        return succeed(client)

    def has(self, end: End) -> None:
        self._busy.append(end)

    def deliver(self) -> None:
        """Until nothing more is on its way."""
        for _ in range(MOST_EVENTS):
            self.clock.advance(0)
            if not self._busy:
                return
            self._busy.popleft().take()
        raise AssertionError("there is no end to what is sent")

    def leap(self) -> bool:
        """To the next moment that somebody waits for. False when nobody waits for any."""
        calls = self.clock.getDelayedCalls()
        if not calls:
            return False
        self.clock.advance(max(0.0, min(call.getTime() for call in calls) - self.clock.seconds()))
        return True

    def until(self, done: Callable[[], bool], seconds: float = 7200.0) -> None:
        """Let things happen until `done`. What takes longer than `seconds` of the clock is an error."""
        end = self.clock.seconds() + seconds
        self.deliver()
        while not done():
            if not self.leap():
                raise AssertionError("nobody waits for anything, and it is not done")
            assert self.clock.seconds() <= end, "it takes too long"
            self.deliver()


class _Endpoint:
    def __init__(self, network: Network, timeout: float) -> None:
        self._network = network
        self._timeout = timeout

    def connect(self, factory: Any) -> Deferred[Any]:
        return self._network.connect(factory, self._timeout)


class _Below:
    """What is below TLS: the transport of the TLS protocol itself."""

    disconnecting = False

    def __init__(self, end: End) -> None:
        self._end = end

    def write(self, data: bytes) -> None:
        self._end.send(data)

    def writeSequence(self, data: list[bytes]) -> None:
        self._end.send(b"".join(data))

    def loseConnection(self) -> None:
        self._end.close()

    def abortConnection(self) -> None:
        self._end.abortConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...


class End:
    """One side's transport."""

    disconnecting = False

    def __init__(self, network: Network, *, client: bool) -> None:
        self.peer: End
        self.protocol: Any = None
        self.drip = False  # does what is sent from here arrive an octet at a time?
        self.mangle: Callable[[bytes], bytes] = lambda data: data  # what becomes of the bytes that are sent, below TLS
        self.network = network
        self._client = client
        self._inbox: deque[bytes | Exception] = deque()
        self._tls: TLSMemoryBIOProtocol | None = None
        self._paused = False
        self.over = False

    def join(self, protocol: Any) -> None:
        self.protocol = protocol
        protocol.makeConnection(self)

    # What comes

    def put(self, *items: bytes | Exception) -> None:
        self._inbox.extend(items)
        for _ in items:
            self.network.has(self)

    def take(self) -> None:
        """One piece of what has come."""
        if self._paused or self.over or not self._inbox:
            return
        item = self._inbox.popleft()
        if isinstance(item, bytes):
            self.protocol.dataReceived(item)
        else:
            self._lost(item)
            if not self.peer.over:
                self.peer.put(_CLOSED)

    def _lost(self, why: Exception) -> None:
        if not self.over:
            self.over = True
            self.protocol.connectionLost(Failure(why))

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        for _ in self._inbox:
            self.network.has(self)

    # What goes

    def send(self, data: bytes) -> None:
        if self.over or self.peer.over:
            return
        data = self.mangle(data)
        size = 1 if self.drip else PIECE
        self.peer.put(*(data[at : at + size] for at in range(0, len(data), size)))

    def close(self) -> None:
        if not self.over:
            self.peer.put(_CLOSED)
            self.put(_CLOSED)

    def write(self, data: bytes) -> None:
        if self._tls is not None:
            self._tls.write(data)
        else:
            self.send(data)

    def writeSequence(self, data: list[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        if self._tls is not None:
            self._tls.loseConnection()
        else:
            self.close()

    def abortConnection(self) -> None:
        if not self.over:
            self.peer.put(_RESET)
            self.network.clock.callLater(0, self._lost, net.ConnectionAborted())

    # TLS

    def startTLS(self, options: Any) -> None:
        factory: Any = TLSMemoryBIOFactory(options, self._client, None, clock=self.network.clock)
        self._tls = tls = TLSMemoryBIOProtocol(factory, self.protocol, False)
        self.protocol = tls
        directlyProvides(self, ISSLTransport)
        tls.makeConnection(_Below(self))

    def getHandle(self) -> Any:
        assert self._tls is not None
        return self._tls.getHandle()

    def getPeerCertificate(self) -> Any:
        assert self._tls is not None
        return self._tls.getPeerCertificate()

    def setTcpNoDelay(self, _on: bool) -> None: ...

    def setTcpKeepAlive(self, _on: bool) -> None: ...

    def getPeer(self) -> Any:
        return None

    def getHost(self) -> Any:
        return None
