"""A connection in memory: what a server's protocol sees of one, and what a client gets from it.

The transport behaves as Twisted's do where a server can tell: it stops a streaming producer when much
is unread and lets it go on when that is read, keeps a closing connection open until the producer is done,
and hands over nothing while reading is paused.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IProtocol, ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

UNREAD = 65_536  # as twisted.internet.abstract.FileDescriptor.bufferSize


class MemoryTransport(StringTransport):
    """A transport whose peer reads whenever `drain` is called."""

    def __init__(self, address: str = "127.0.0.1", *, slow: bool = False) -> None:
        kind = IPv6Address if ":" in address else IPv4Address
        super().__init__(peerAddress=kind("TCP", address, 40000), hostAddress=kind("TCP", "127.0.0.1", 110))
        self.out = bytearray()
        self.unread = 0
        self.slow = slow  # the peer reads only when told to
        self.aborted = False
        self.tls_started: object = None
        self.producer_paused = False

    def write(self, data: bytes) -> None:
        if not isinstance(data, bytes):
            raise TypeError(f"a transport takes bytes, not {type(data)}")
        if self.aborted:
            return
        self.out += data
        self.unread += len(data)
        if self.unread > UNREAD and self.producer is not None and self.streaming and not self.producer_paused:
            self.producer_paused = True
            self.producer.pauseProducing()

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def read(self) -> None:
        """The peer reads everything that is there."""
        self.unread = 0
        if self.producer is None:
            return
        if not self.streaming:
            self.producer.resumeProducing()
        elif self.producer_paused:
            self.producer_paused = False
            self.producer.resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        super().registerProducer(producer, streaming)
        self.producer_paused = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True

    def startTLS(self, context: object, normal: bool = True) -> None:
        self.tls_started = context
        directlyProvides(self, providedBy(self), ISSLTransport)

    def getPeerCertificate(self) -> None:
        return None

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed here."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing goes away here."""

    @property
    def paused(self) -> bool:
        return self.producerState == "paused"

    @property
    def finished(self) -> bool:
        """Whether everything that was to be sent before the close has been sent."""
        return self.aborted or (self.disconnecting and self.producer is None)


class MemoryChannel:
    """A client's end of a connection to a protocol in memory."""

    def __init__(self, protocol: Any, clock: Clock, address: str = "127.0.0.1", *, slow: bool = False) -> None:
        self.protocol = protocol
        self.clock = clock
        self.transport = MemoryTransport(address, slow=slow)
        self.closed = False
        self._unsent = bytearray()
        protocol.makeConnection(self.transport)
        self.settle()

    def send(self, data: bytes, *, bytewise: bool = False) -> None:
        """Send `data` as one piece, or every octet as its own."""
        for piece in [data[at : at + 1] for at in range(len(data))] if bytewise else [data]:
            self._unsent += piece
            self.settle()

    def hang_up(self) -> None:
        self._lost(Failure(ConnectionDone()))

    def settle(self) -> None:
        """Let everything happen that can happen without time going by."""
        while True:
            before = (len(self.transport.out), len(self._unsent), self.closed)
            self.clock.advance(0)
            if not self.transport.slow:
                self.transport.read()
            if self.transport.finished:
                self._lost(Failure(ConnectionAborted() if self.transport.aborted else ConnectionDone()))
            elif self._unsent and not self.transport.paused and not self.closed:
                data = bytes(self._unsent)
                self._unsent.clear()
                if not self.transport.disconnecting:
                    IProtocol(self.protocol).dataReceived(data)
            if before == (len(self.transport.out), len(self._unsent), self.closed):
                return

    def read_line(self) -> bytes | None:
        """The server's next line without its CRLF, or None."""
        end = self.transport.out.find(b"\r\n")
        if end < 0:
            return None
        line = bytes(self.transport.out[:end])
        del self.transport.out[: end + 2]
        return line

    def read_exactly(self, count: int) -> bytes:
        """As many octets, or as many as there are."""
        data = bytes(self.transport.out[:count])
        del self.transport.out[:count]
        return data

    def leftover(self) -> bytes:
        """What the server sent and nobody read."""
        return bytes(self.transport.out)

    def server_has_closed(self) -> bool:
        return self.closed

    def _lost(self, reason: Failure) -> None:
        if not self.closed:
            self.closed = True
            self._unsent.clear()
            self.protocol.connectionLost(reason)
            self.clock.advance(0)
