"""Clients who never end their TLS handshake are strangers: they have as long as any to log in, and a moment more."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from proxy.daemon.tls_writing import WholeWritesFactory
from proxy.imap.server import ImapFactory
from proxy.pop3.server import Pop3Factory
from proxy.wire.arrivals import Arrivals
from proxy.wire.door import Limits, Terms
from tests.dialogues import fixtures
from tests.dialogues.gate import Announced, ScriptedGate
from tests.legacy.certificates import Authority
from tests.proxy.recording import RecordingLog

LIMITS = Limits()


class Wire(StringTransport):
    """What TCP can do besides."""

    def setTcpNoDelay(self, _on: bool) -> None: ...

    def setTcpKeepAlive(self, _on: bool) -> None: ...


def client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("said", [b"", client_hello()[:50], client_hello()], ids=["nothing", "half of it", "hello"])
@pytest.mark.parametrize("service", [ImapFactory, Pop3Factory])
def test_it_is_ended_in_time(service: Any, said: bytes, tmp_path: Path) -> None:
    clock = Clock()  # type: ignore[no-untyped-call]
    mail = fixtures.open_home(tmp_path, "letters", lambda _: None)
    gate = ScriptedGate(mail, clock, Announced())
    factory = service(gate, Terms("mail.123.com", tls=object(), limits=LIMITS), RecordingLog(), clock)
    options = Authority().issue("localhost").options()
    protocol = TLSMemoryBIOFactory(options, False, factory, clock).buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
    transport: Any = Wire(peerAddress=IPv4Address("TCP", "127.0.0.1", 1))  # type: ignore[no-untyped-call]
    protocol.makeConnection(transport)
    for octet in said:
        protocol.dataReceived(bytes([octet]))
        clock.advance(LIMITS.login_timeout / 1000)  # type: ignore[no-untyped-call]
    clock.advance(LIMITS.login_timeout)  # type: ignore[no-untyped-call]
    clock.advance(LIMITS.farewell_timeout)  # type: ignore[no-untyped-call]
    assert transport.disconnected or transport.aborting, "it is still there"
    mail.close()


def test_where_the_service_takes_no_more_there_is_no_tls_either() -> None:
    """A worker that met with one would be deaf."""
    terms = Terms("mail.123.com", arrivals=Arrivals(0, 0))
    closed: list[bool] = []
    gate: Any = None
    factory = Pop3Factory(gate, terms, RecordingLog(), Clock(), lambda: closed.append(True))  # type: ignore[arg-type]
    whole = WholeWritesFactory(_Never(), False, factory, Clock())  # type: ignore[arg-type]
    assert whole.buildProtocol(IPv4Address("TCP", "192.0.2.7", 1)) is None
    assert closed == [True]


@implementer(IOpenSSLServerConnectionCreator)
class _Never:
    def serverConnectionForTLS(self, tlsProtocol: object) -> None:
        raise AssertionError
