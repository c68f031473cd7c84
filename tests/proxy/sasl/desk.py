"""The password service in memory, in front of a gate that answers as the test says."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import structlog
from structlog.testing import LogCapture
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from proxy.sasl.server import SaslFactory
from proxy.wire.door import Because, Credentials, LoginRefused, Refusal, Terms
from proxy.wire.trusted import Trusted
from tests.dialogues.memory import MemoryChannel

HELLO = b"VERSION\t1\t2\nCPID\t77\n"
AS_POSTFIX = b"VERSION\t1\t0\nCPID\t77\n"
DOWN = LoginRefused(Refusal.UNAVAILABLE, "the old mail server does not answer", Because.DOWN)


def plain(username: str = "user", password: str = "pass", authorize: str = "") -> bytes:
    return base64.b64encode(f"{authorize}\0{username}\0{password}".encode())


def auth(id_: int = 1, response: bytes | None = None, more: bytes = b"service=smtp\tnologin\tsecured") -> bytes:
    return b"AUTH\t%d\tPLAIN\t%b\tresp=%b\n" % (id_, more, plain() if response is None else response)


class Gate:
    """`user` has the password "pass". What is `held` waits; `trouble` is what every answer is."""

    def __init__(self) -> None:
        self.asked: list[Credentials] = []
        self.held: list[Deferred[None]] = []
        self.holds = False
        self.trouble: Exception | None = None
        self.cancelled = 0

    async def vouch(self, credentials: Credentials, seconds: float) -> str:
        assert seconds <= 9  # Postfix waits for ten
        self.asked.append(credentials)
        if self.holds:
            waiting: Deferred[None] = Deferred()
            self.held.append(waiting)
            try:
                await waiting
            except CancelledError:
                self.cancelled += 1
                raise
        if self.trouble is not None:
            raise self.trouble
        if (credentials.username, credentials.password.reveal()) != (b"user", b"pass"):
            raise LoginRefused(Refusal.WRONG, "wrong user name or password")
        return "user@123.com"


class Desk:
    """Close it."""

    def __init__(self, plaintext_login: str = "loopback") -> None:
        self.clock = Clock()
        self.gate = Gate()
        self.log = LogCapture()
        wrapped = structlog.wrap_logger(
            None, processors=[self.log], wrapper_class=structlog.make_filtering_bound_logger(0)
        )
        terms = Terms("mail.123.com", plaintext_login=plaintext_login, trusted=Trusted(["192.0.2.80"]))
        self.factory = SaslFactory(self.gate.vouch, terms, wrapped, self.clock)
        self.channels: list[MemoryChannel] = []

    def connect(self, hello: bytes = HELLO, *, address: str | None = None, slow: bool = False) -> MemoryChannel:
        """`address`: of a client over TCP, of whom 192.0.2.80 is trusted; without one it is at a Unix socket."""
        peer: Any = UNIXAddress(None) if address is None else IPv4Address("TCP", address, 40000)
        protocol = self.factory.buildProtocol(peer)
        assert protocol is not None
        channel = MemoryChannel(protocol, self.clock, address or "127.0.0.1", slow=slow)
        self.channels.append(channel)
        greeting = self.said(channel)
        assert greeting[0] == "VERSION\t1\t2"
        assert greeting[-1] == "DONE"
        channel.send(hello)
        return channel

    def said(self, channel: MemoryChannel) -> list[str]:
        """The lines that have come since."""
        channel.settle()
        return channel.read_exactly(1 << 20).decode().splitlines()

    def answer(self, data: bytes, hello: bytes = HELLO, **about: Any) -> list[str]:
        """What is said to this on a connection of its own."""
        channel = self.connect(hello, **about)
        channel.send(data)
        return self.said(channel)

    def let_go_on(self, choose: Callable[[list[Deferred[None]]], Deferred[None]] = lambda held: held.pop(0)) -> None:
        choose(self.gate.held).callback(None)
        for channel in self.channels:
            channel.settle()

    def close(self) -> None:
        """Nothing is left, and no password is in the log."""
        for channel in self.channels:
            channel.hang_up()
        assert not [call for call in self.clock.getDelayedCalls() if call.active()]
        assert not self.factory.connections
        assert len(self.gate.held) == self.gate.cancelled
        assert "pass'" not in repr(self.log.entries)
