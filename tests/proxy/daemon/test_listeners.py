"""Opening ports, and saying what cannot be opened."""

from __future__ import annotations

from pathlib import Path
from socket import IPPROTO_TCP, TCP_INFO
from socket import socket as Socket
from struct import unpack_from
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from proxy.daemon.listeners import CannotListen, Listening
from tests.proxy.migration.scripted import folder

reactor: Any = _reactor


class ListeningTest(TestCase):
    """Connections are served where they are accepted."""

    def setUp(self) -> None:
        self.root: Path = folder(self)
        self.listening = Listening(reactor, lambda event, **_about: self.fail(event))
        self.addCleanup(self.listening.close)
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        self.factory = factory

    def open(self, **endpoints: list[str]) -> Deferred[list[str]]:
        return Deferred.fromCoroutine(self.listening.open(endpoints, lambda _service: self.factory))

    def test_it_says_where_it_listens(self) -> Deferred[None]:
        async def test() -> None:
            socket = self.root / "imap"
            opened = await self.open(
                imap=["tcp:0:interface=127.0.0.1", f"unix:{socket}"], pop3=["tcp6:0:interface=\\:\\:1"]
            )
            self.assertRegex(opened[0], r"^imap 127\.0\.0\.1:\d+$")
            self.assertEqual(opened[1], f"imap {socket}")
            self.assertRegex(opened[2], r"^pop3 \[::1\]:\d+$")

        return Deferred.fromCoroutine(test())

    def test_a_crowd_that_comes_at_once_waits_with_the_kernel(self) -> Deferred[None]:
        """As long as the configuration does not say how many may."""

        most = int(Path("/proc/sys/net/core/somaxconn").read_text())

        async def test() -> None:
            await self.open(imap=["tcp:0:interface=127.0.0.1"], pop3=["tcp:0:interface=127.0.0.1:backlog=9"])
            rooms = [
                unpack_from("=I", each.socket.getsockopt(IPPROTO_TCP, TCP_INFO, 104), 28)[0]  # tcpi_sacked (tcp(7))
                for each in self.listening.opened
            ]
            self.assertEqual(rooms, [min(4_096, most), 9])

        return Deferred.fromCoroutine(test())

    def test_a_port_that_is_taken_is_named(self) -> Deferred[None]:
        async def test() -> None:
            (opened,) = await self.open(imap=["tcp:0:interface=127.0.0.1"])
            taken = f"tcp:{opened.rpartition(':')[2]}:interface=127.0.0.1"
            error = await self.assertFailure(self.open(pop3=[taken]), CannotListen)
            self.assertIn(f"cannot listen on pop3 {taken}", str(error))

        return Deferred.fromCoroutine(test())

    def test_a_directory_that_is_missing_is_named(self) -> Deferred[None]:
        async def test() -> None:
            error = await self.assertFailure(self.open(imap=[f"unix:{self.root}/no/such"]), CannotListen)
            self.assertIn("no/such", str(error))

        return Deferred.fromCoroutine(test())

    def test_close_frees_the_ports_and_may_be_called_again(self) -> Deferred[None]:
        async def test() -> None:
            (opened,) = await self.open(imap=["tcp:0:interface=127.0.0.1"])
            await self.listening.close()
            await self.listening.close()
            (again,) = await self.open(imap=[f"tcp:{opened.rpartition(':')[2]}:interface=127.0.0.1"])
            self.assertEqual(opened, again)

        return Deferred.fromCoroutine(test())

    def test_tls_services_without_endpoints_need_no_certificate(self) -> Deferred[None]:
        async def test() -> None:
            self.assertEqual(await self.open(imaps=[], pop3s=[]), [])

        return Deferred.fromCoroutine(test())


class HandedOverTest(ListeningTest):
    """Connections are accepted here and handed over."""

    def open(self, **endpoints: list[str]) -> Deferred[list[str]]:
        def hand_over(connection: Socket, service: str) -> None:
            connection.sendall(service.encode())
            connection.close()

        return Deferred.fromCoroutine(self.listening.open_for(endpoints, hand_over))

    def test_what_connects_is_handed_over_with_the_name_of_the_service(self) -> Deferred[None]:
        async def test() -> None:
            (opened,) = await self.open(pop3=["tcp:0:interface=127.0.0.1"])
            port = int(opened.rpartition(":")[2])
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
            got = await connectProtocol(endpoint, ReadAll())
            self.assertEqual(await got.done, b"pop3")

        return Deferred.fromCoroutine(test())


class ReadAll(Protocol):
    def __init__(self) -> None:
        self.seen = b""
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.seen += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.done.callback(self.seen)
