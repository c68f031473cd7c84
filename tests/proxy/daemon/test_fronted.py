"""What is behind a proxy is told whose connection it is, and by nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from zope.interface import implementer

from proxy import config
from proxy.config import Config, Listen
from proxy.daemon.fronted import HEADER_SECONDS, QUIET, Fronts
from proxy.login.origins import origin
from proxy.web import security
from proxy.web.channel import WebSite
from proxy.web.security import Visitor
from tests.proxy.daemon.test_daemon import LOGIN, Client, DaemonTestCase
from tests.proxy.daemon.test_workers import WithWorkers
from tests.proxy.login.login_rig import CONFIG, PASSWORD
from tests.proxy.recording import RecordingLog
from tests.proxy.wire.test_wire_proxied import IPV4, TLS, binary

V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 143\r\n"
OF_THE_PROXY_ITSELF = binary(0x20, 0, b"")
ENCRYPTED = binary(0x21, 0x11, IPV4 + TLS)


@implementer(IHalfCloseableProtocol)
class Service(Protocol):
    def __init__(self) -> None:
        self.seen: list[object] = []

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.seen.append((self.transport.getPeer(), self.transport.getHost(), ISSLTransport.providedBy(self.transport)))
        self.transport.write(b"hello")

    def dataReceived(self, data: bytes) -> None:
        self.seen.append(data)

    def readConnectionLost(self) -> None:
        self.seen.append("the client says no more")

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.seen.append("gone")


class Rig:
    def __init__(self) -> None:
        self.clock, self.log = Clock(), RecordingLog()
        self.closed = 0
        self.made: list[Service] = []
        self.full = False
        self.fronts = Fronts(["10.0.0.0/24", "127.0.0.1"], reactor=self.clock, log=self.log, closed=self._closed)
        factory: Any = Factory()
        factory.buildProtocol = self._build
        self.factory = self.fronts.before("haproxy:imap", factory)

    def _closed(self) -> None:
        self.closed += 1

    def _build(self, address: object) -> Service | None:
        if self.full:
            self._closed()  # as a service's factory does
            return None
        self.made.append(Service())
        return self.made[-1]

    def connect(self, proxy: str = "10.0.0.5") -> tuple[Any, StringTransport]:
        address = IPv4Address("TCP", proxy, 4000)
        connection: Any = self.factory.buildProtocol(address)
        transport = StringTransport(peerAddress=address)
        transport.abortConnection = self._aborting(connection, transport)  # type: ignore[method-assign]
        if connection is not None:
            connection.makeConnection(transport)
        return connection, transport

    @staticmethod
    def _aborting(connection: Any, transport: StringTransport) -> Callable[[], None]:
        def abort() -> None:
            if not transport.disconnected:
                transport.disconnecting = transport.disconnected = True
                connection.connectionLost(Failure(ConnectionError()))

        return abort

    def reasons(self) -> list[str]:
        return [fields["reason"] for _, event, fields in self.log.lines if event == "connection refused"]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_client_is_the_peer_and_hears_nothing_before_the_header_is_whole(rig: Rig) -> None:
    connection, transport = rig.connect()
    connection.dataReceived(V1[:20])
    assert (transport.value(), rig.made) == (b"", [])
    connection.dataReceived(V1[20:] + b"what it says")
    connection.dataReceived(b"more")
    connection.readConnectionLost()
    connection.connectionLost(Failure(connectionDone.value))
    peer, host = IPv4Address("TCP", "192.0.2.7", 56324), IPv4Address("TCP", "198.51.100.1", 143)
    assert rig.made[0].seen == [(peer, host, False), b"what it says", b"more", "the client says no more", "gone"]
    assert transport.value() == b"hello"
    assert (rig.closed, rig.reasons(), rig.clock.getDelayedCalls(), rig.fronts.waiting) == (0, [], [], set())


def test_tls_at_the_proxy_is_tls(rig: Rig) -> None:
    connection, _ = rig.connect()
    connection.dataReceived(ENCRYPTED)
    assert rig.made[0].seen[0][2] is True  # type: ignore[index]


@pytest.mark.parametrize(
    ("proxy", "client", "peer"),
    [
        ("10.0.0.5", "127.0.0.1", "10.0.0.5"),  # its loopback is not ours, which may log in unencrypted
        ("10.0.0.5", "127.9.9.9", "10.0.0.5"),
        ("127.0.0.1", "127.0.0.9", "127.0.0.9"),
        ("127.0.0.1", "192.0.2.7", "192.0.2.7"),
    ],
)
def test_a_loopback_is_that_of_the_proxy_s_own_machine(rig: Rig, proxy: str, client: str, peer: str) -> None:
    connection, _ = rig.connect(proxy)
    connection.dataReceived(f"PROXY TCP4 {client} 198.51.100.1 1 143\r\n".encode())
    assert connection.getPeer().host == peer


def test_ipv6_and_a_mapped_loopback(rig: Rig) -> None:
    connection, _ = rig.connect()
    connection.dataReceived(b"PROXY TCP6 2001:db8::7 2001:db8::1 1 143\r\n")
    assert connection.getPeer().host == "2001:db8::7"
    connection, _ = rig.connect()
    connection.dataReceived(b"PROXY TCP6 ::ffff:127.0.0.1 2001:db8::1 1 143\r\n")
    assert connection.getPeer().host == "10.0.0.5"


def test_the_proxy_s_own_connection_is_its_own(rig: Rig) -> None:
    connection, _ = rig.connect()
    connection.dataReceived(OF_THE_PROXY_ITSELF)
    assert rig.made[0].seen[0][0].host == "10.0.0.5"  # type: ignore[index]


def test_others_are_sent_away_and_a_unix_socket_is_not(rig: Rig) -> None:
    assert rig.connect("192.0.2.66")[0] is None
    assert rig.reasons() == ["not in listen.proxied"]
    assert rig.closed == 1
    assert rig.factory.buildProtocol(UNIXAddress("/run/mailferry/imap")) is not None


@pytest.mark.parametrize("said", [b"a LOGIN anna secret\r\n", b"PROXY TCP4 nonsense\r\n", binary(0x2F, 0, b"")])
def test_without_a_header_it_is_closed_and_what_was_said_is_not_in_the_log(rig: Rig, said: bytes) -> None:
    connection, transport = rig.connect()
    connection.dataReceived(said)
    assert transport.disconnecting and not transport.value() and not rig.made
    assert (rig.closed, len(rig.reasons())) == (1, 1)
    assert "secret" not in repr(rig.log.lines) and "nonsense" not in repr(rig.log.lines)
    assert rig.clock.getDelayedCalls() == []


def test_a_header_that_does_not_come_is_not_waited_for(rig: Rig) -> None:
    connection, transport = rig.connect()
    connection.dataReceived(V1[:-1])
    rig.clock.advance(HEADER_SECONDS - 0.1)
    assert not transport.disconnecting
    rig.clock.advance(0.1)
    assert transport.disconnecting and rig.closed == 1
    assert rig.reasons() == ["its PROXY header does not come"]


def test_one_that_goes_before_its_header_is_counted_as_gone(rig: Rig) -> None:
    connection, _ = rig.connect()
    connection.connectionLost(Failure(connectionDone.value))
    assert (rig.closed, rig.clock.getDelayedCalls()) == (1, [])


def test_one_that_the_service_does_not_take_is_counted_once(rig: Rig) -> None:
    rig.full = True
    connection, transport = rig.connect()
    connection.dataReceived(V1)
    assert transport.disconnecting and rig.closed == 1


def test_the_log_has_a_line_a_minute_with_how_many_there_were(rig: Rig) -> None:
    for _ in range(5):
        rig.connect("192.0.2.66")
    rig.clock.advance(QUIET)
    rig.connect("192.0.2.66")
    assert [fields["connections"] for _, _, fields in rig.log.lines] == [1, 5]


def test_at_the_end_nobody_waits_for_a_header(rig: Rig) -> None:
    _, waiting = rig.connect()
    connection, served = rig.connect()
    connection.dataReceived(V1)
    rig.fronts.end()
    assert waiting.disconnecting and not served.disconnecting
    assert rig.clock.getDelayedCalls() == []


LIES = b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n"


class Who(Resource):
    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        return repr(security.visitor(request)).encode()


@pytest.mark.parametrize(
    ("header", "visitor"),
    [
        (ENCRYPTED, Visitor("192.0.2.7", secure=True, loopback=False)),
        (V1, Visitor("192.0.2.7", secure=False, loopback=False)),
        (V1.replace(b"192.0.2.7", b"127.0.0.1"), Visitor("10.0.0.5", secure=False, loopback=False)),
        (OF_THE_PROXY_ITSELF, Visitor("10.0.0.5", secure=False, loopback=False)),
    ],
)
def test_a_visitor_of_the_web_is_who_the_header_says_and_not_who_a_browser_says(
    rig: Rig, header: bytes, visitor: Visitor
) -> None:
    site = WebSite(Who(), reactor=rig.clock, dress=lambda _request: None, too_large=lambda _request: b"")
    rig.factory = rig.fronts.before("haproxy:web", site)
    connection, transport = rig.connect()
    connection.dataReceived(
        header + b"GET / HTTP/1.0\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\r\n"
    )
    assert repr(visitor).encode() in transport.value()
    connection.connectionLost(Failure(connectionDone.value))


# A daemon


class Fronted(DaemonTestCase):
    def settings(self, port: int) -> Config:
        """As `WithWorkers` has them, too, who read them anew."""
        text = CONFIG.format(state=self.state, accounts="open", port=port, connections=5)
        text = text.replace("[listen]", '[listen]\nproxied = ["127.0.0.1"]\npop3 = ["haproxy:tcp:110"]')
        text = text.replace("workers = 1", f"workers = {self.workers}")
        free = ("haproxy:tcp:0:interface=127.0.0.1",)
        listen = Listen.model_construct(imap=free, pop3=free, proxied=("127.0.0.1",))
        return config.parse(text.encode()).model_copy(update={"listen": listen})

    workers = 1

    async def come(self, daemon: Any, service: int, header: bytes) -> Client:
        client = await self.connect(daemon, service)
        assert client.transport is not None
        client.transport.write(header)
        return client

    def audit(self) -> list[tuple[str, str]]:
        return [(event, fields["peer"]) for _, event, fields in self.log.lines if fields.get("audit")]

    def test_the_client_s_address_and_its_tls_count_in_pop3_and_imap(self) -> Deferred[None]:
        async def test() -> None:
            daemon = await self.daemon(self.legacy().port)
            imap, pop3 = 0, 1
            if daemon._listening._opened[0].opened_for[0] != "imap":  # type: ignore[index]
                imap, pop3 = pop3, imap
            client = await self.come(daemon, imap, V1)
            await client.ask(b"a CAPABILITY", b"* CAPABILITY IMAP4rev1")
            await client.ask(b"a " + LOGIN, b"a NO")  # it is not encrypted, and not of this machine
            client = await self.come(daemon, imap, ENCRYPTED)
            await client.ask(b"a LOGIN user wrong", b"a NO [AUTHENTICATIONFAILED]")
            await client.ask(b"b " + LOGIN, b"b OK")
            client = await self.come(daemon, pop3, ENCRYPTED)
            await client.ask(b"USER user", b"+OK")
            await client.ask(b"PASS " + PASSWORD, b"+OK")
            told = [("login refused", "192.0.2.7"), ("login", "192.0.2.7"), ("login", "192.0.2.7")]
            await self.until(lambda: self.audit() == told)
            counted = repr(daemon._gate.throttle.remembered())
            self.assertIn(origin("192.0.2.7").machine, counted)
            self.assertNotIn(origin("127.0.0.1").machine, counted)
            waiting = await self.come(daemon, imap, V1[:10])
            await self.stop(daemon)
            self.assertEqual(waiting.seen, b"")

        return self.run_async(test())


class FrontedWithWorkers(WithWorkers, Fronted):
    timeout = 300
    workers = 2
    settings = Fronted.settings
