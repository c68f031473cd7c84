"""Connections that a proxy in front passes on (endpoints that begin with "haproxy:"): whose they are, its header says.

    the proxy ── PROXY header, then what the client says ──► Fronted ── what the client says ──► the service's protocol

To the protocol behind it, `Fronted` is a transport like another: its peer is the client, and it is an encrypted one
where the client speaks TLS with the proxy. So the throttle, limits, log and audit have the client's address, and none
of them knows of any of this. TLS that ends here comes behind the header, and is the protocol's own matter.

Who may not be forged (invariant 10): only machines of `listen.proxied`, and who gets at a UNIX socket, may say whose
connection it is; they must, and all others are refused at these endpoints, whatever they say. Nothing is said to the
other end before its header is whole (PP 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocolFactory,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.policies import ProtocolWrapper
from twisted.python.failure import Failure
from zope.interface import alsoProvides, directlyProvides, providedBy

from proxy.config.endpoints import PROXIED
from proxy.wire.peers import peer_of
from proxy.wire.proxied import End, Header, HeaderReader, Malformed
from proxy.wire.trusted import Trusted, plain_address

HEADER_SECONDS: Final = 10.0  # for a header to be whole; at least three (PP 2)
QUIET: Final = 60.0  # seconds without a word about who is refused, behind the first
_UNIX: Final = "unix"

_Wrapper: Any = ProtocolWrapper  # Twisted's is typed for a protocol that is there from the beginning


def _unnoticed() -> None:
    """Nobody counts connections."""


class Fronts:
    """What endpoints behind a proxy have in common. One in each process that serves, and one for the web."""

    def __init__(
        self, proxies: Iterable[str], *, reactor: Any, log: Any, closed: Callable[[], None] = _unnoticed
    ) -> None:
        """`proxies` are the networks of `listen.proxied`; `closed` is called for each connection that has ended before
        its protocol was made."""
        self.reactor = reactor
        self.closed = closed
        self.waiting: set[Fronted] = set()  # for their header
        self._trusted = Trusted(proxies)
        self._log = log
        self._quiet_until = float("-inf")
        self._unsaid = 0

    def before(self, service: str, factory: IProtocolFactory) -> IProtocolFactory:
        """The service's factory, or what is before it where `service` is "haproxy:" and the service."""
        return FrontedFactory(self, service, factory) if service.startswith(PROXIED) else factory

    def may_speak(self, address: object) -> bool:
        """Is this a proxy's?"""
        return isinstance(address, UNIXAddress) or self._trusted.covers(peer_of(address, _UNIX)[0])

    def refused(self, service: str, address: object, reason: str) -> None:
        """A line for the log, unless there was one just now."""
        self._unsaid += 1
        if (now := self.reactor.seconds()) >= self._quiet_until:
            self._quiet_until = now + QUIET
            connections, self._unsaid = self._unsaid, 0
            peer = peer_of(address, _UNIX)[0]
            self._log.warning("connection refused", service=service, peer=peer, reason=reason, connections=connections)

    def end(self) -> None:
        """Close those whose header has not come."""
        for connection in list(self.waiting):
            connection.give_up()


class FrontedFactory(Factory):
    """Makes the connections of one listener."""

    noisy = False

    def __init__(self, fronts: Fronts, service: str, factory: IProtocolFactory) -> None:
        """`factory` makes the service's protocols."""
        self.fronts = fronts
        self.service = service
        self.factory = factory

    def doStart(self) -> None:
        self.factory.doStart()

    def doStop(self) -> None:
        self.factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        if self.fronts.may_speak(addr):
            return Fronted(self)
        self.fronts.refused(self.service, addr, "not in listen.proxied")
        self.fronts.closed()
        return None


class Fronted(_Wrapper):  # type: ignore[misc]
    """One connection."""

    factory: FrontedFactory
    transport: Any
    wrappedProtocol: Any

    def __init__(self, factory: FrontedFactory) -> None:
        super().__init__(factory, None)
        self._fronts = factory.fronts
        self._reader = HeaderReader()
        self._header = Header()
        self._late: Any = None
        self._handed_on = False  # its end is somebody else's to tell

    def logPrefix(self) -> str:
        return type(self).__name__

    # Until the header is whole

    def makeConnection(self, transport: Any) -> None:
        directlyProvides(self, providedBy(transport))
        self.connected = 1
        self.transport = transport
        self._fronts.waiting.add(self)
        self._late = self._fronts.reactor.callLater(HEADER_SECONDS, self._refuse, "its PROXY header does not come")

    def dataReceived(self, data: bytes) -> None:
        if self.wrappedProtocol is not None:
            self.wrappedProtocol.dataReceived(data)
        elif self._late is not None:
            try:
                header = self._reader.feed(data)
            except Malformed as error:
                self._refuse(str(error))
            else:
                if header is not None:
                    self._begin(header)

    def _refuse(self, reason: str) -> None:
        self._fronts.refused(self.factory.service, self.transport.getPeer(), reason)
        self.give_up()

    def give_up(self) -> None:
        self._wait_no_more()
        self.transport.abortConnection()

    def _wait_no_more(self) -> None:
        self._fronts.waiting.discard(self)
        if self._late is not None and self._late.active():
            self._late.cancel()
        self._late = None

    def _begin(self, header: Header) -> None:
        """Hand it to its protocol, which may send it away."""
        self._wait_no_more()
        self._header = header
        self._handed_on = True
        protocol = self.factory.factory.buildProtocol(self.getPeer())
        if protocol is None:
            self.transport.abortConnection()
            return
        if header.encrypted:
            alsoProvides(self, ISSLTransport)
        if IHalfCloseableProtocol.providedBy(protocol):
            alsoProvides(self, IHalfCloseableProtocol)
        self.wrappedProtocol = protocol
        protocol.makeConnection(self)
        if self._reader.rest and not self.transport.disconnecting:
            protocol.dataReceived(self._reader.rest)

    # As the protocol's transport

    def getPeer(self) -> Any:
        """The client. Whoever connects to a proxy from its own machine is that machine: its loopback is not ours."""
        proxy = self.transport.getPeer()
        if self._header.client is None:
            return proxy
        if _is_loopback(self._header.client) and not peer_of(proxy, _UNIX)[1]:
            return proxy
        return _address(self._header.client)

    def getHost(self) -> Any:
        """Where the client has connected to."""
        return self.transport.getHost() if self._header.server is None else _address(self._header.server)

    # An encrypted transport is TCP's to Twisted, which a UNIX socket is not.

    def setTcpNoDelay(self, enabled: bool) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(enabled)

    def setTcpKeepAlive(self, enabled: bool) -> None:
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpKeepAlive(enabled)

    # As its protocol

    def readConnectionLost(self) -> None:
        self.wrappedProtocol.readConnectionLost()

    def writeConnectionLost(self) -> None:
        self.wrappedProtocol.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        protocol, self.wrappedProtocol = self.wrappedProtocol, None
        if self._late is not None:
            peer = self.transport.getPeer()
            self._fronts.refused(self.factory.service, peer, "it was closed before its PROXY header had come")
            self._wait_no_more()
        if protocol is not None:
            protocol.connectionLost(reason)
        if not self._handed_on:
            self._fronts.closed()


def _is_loopback(end: End) -> bool:
    found = plain_address(end.host)
    return found is not None and found.is_loopback


def _address(end: End) -> IPv4Address | IPv6Address:
    return (IPv6Address if ":" in end.host else IPv4Address)("TCP", end.host, end.port)
