"""What the scripted legacy servers have in common, whatever they speak: a port, connections, and how they misbehave.

`server.LegacyServer` and `imap_server.ImapServer` are made of it. A server is a Twisted factory, so that trial tests
run it in their own reactor; in memory `server.buildProtocol(None)` takes any transport.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure


@dataclass(slots=True, kw_only=True)
class Conduct:
    """How a server behaves, in any protocol. The defaults are a good server's."""

    password: bytes = b"secret"
    hang_up_at: frozenset[bytes] = frozenset()  # commands at which it closes the connection
    silent_at: frozenset[bytes] = frozenset()  # commands that it never answers
    answers: Mapping[bytes, bytes] = field(default_factory=dict)  # by command: what it says instead, octet by octet
    tls: Any = None  # `certificates.Identity.options()`: STLS, STARTTLS, or TLS from the start
    injects: bytes = b""  # what it sends in plaintext right behind its yes to STLS or STARTTLS
    reset_in: int = 0  # the message (POP3's number, IMAP's UID) in whose middle the connection is reset
    cut_in: int = 0  # the message in whose middle it is closed
    stop_in: int = 0  # the message in whose middle nothing more comes
    pieces: int = 0  # octets a reactor turn; 0: all at once


C = TypeVar("C", bound="ScriptedConnection[Any]")
H = TypeVar("H", bound=Conduct)


class ScriptedServer(Factory, Generic[C]):
    """A server's port and its connections, and what it was asked."""

    noisy = False

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.connections = 0  # ever made
        self.open: set[C] = set()
        self.reactor: Any = None
        self.port = 0
        self._listening: IListeningPort | None = None
        self._empty: list[Deferred[None]] = []

    def connection(self) -> C:
        """A new one."""
        raise NotImplementedError

    @property
    def harmful(self) -> list[bytes]:
        """The commands that would have changed something. There are to be none."""
        raise NotImplementedError

    def buildProtocol(self, addr: IAddress | None) -> C:
        self.connections += 1
        return self.connection()

    def listen(self, reactor: Any, *, port: int = 0, tls: Any = None) -> int:
        """Listen on a port of the loopback interface, a free one unless it is said which; with `tls` from the start."""
        self.reactor = reactor
        if tls is not None:
            self._listening = reactor.listenSSL(port, self, tls, interface="127.0.0.1")
        else:
            self._listening = reactor.listenTCP(port, self, interface="127.0.0.1")
        self.port = cast(Any, self._listening).getHost().port
        return self.port

    async def close(self) -> None:
        """Stop listening, drop every connection, and return when all are gone."""
        if self._listening is not None:
            listening, self._listening = self._listening, None
            await cast("Deferred[None]", listening.stopListening())
        for connection in list(self.open):
            connection.drop()
        await self.emptied()

    async def emptied(self) -> None:
        """Returns when no connection is left."""
        if self.open:
            waiter: Deferred[None] = Deferred()
            self._empty.append(waiter)
            await waiter

    def left(self, connection: C) -> None:
        self.open.discard(connection)
        if not self.open:
            waiting, self._empty = self._empty, []
            for waiter in waiting:
                waiter.callback(None)


class ScriptedConnection(Protocol, Generic[H]):
    """One connection to a server: what is sent, whole or in pieces, and the accidents that happen to it."""

    transport: Any

    def __init__(self, server: ScriptedServer[Any], how: H) -> None:
        self.server: Any = server
        self.how = how
        self._in = b""
        self._out = b""
        self._then: list[Callable[[], None]] = []
        self._pumping = False
        self._silent = False
        self._secure = False
        self._dropping: Any = None

    def connectionMade(self) -> None:
        self.server.open.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._silent = True
        if self._dropping is not None and self._dropping.active():
            self._dropping.cancel()
        self.server.left(self)

    def drop(self) -> None:
        """Reset the connection."""
        self._silent = True
        self.transport.abortConnection()

    def _send(self, data: bytes, then: Callable[[], None] | None = None) -> None:
        """Send, at once or piece by piece, and then do something."""
        if self._silent:
            return
        if not self.how.pieces:
            self.transport.write(data)
            if then is not None:
                then()
            return
        self._out += data
        if then is not None:
            self._then.append(then)
        if not self._pumping:
            self._pumping = True
            self._pump()

    def _pump(self) -> None:
        if self._silent:
            return
        if self._out:
            self.transport.write(self._out[: self.how.pieces])
            self._out = self._out[self.how.pieces :]
            self.server.reactor.callLater(0, self._pump)
            return
        self._pumping = False
        waiting, self._then = self._then, []
        for then in waiting:
            then()

    def _misbehaves(self, verb: bytes, tag: bytes = b"") -> bool:
        """Is something else done at this command than to answer it? `tag` is what IMAP's answers have for %t."""
        if verb in self.how.hang_up_at:
            self.transport.loseConnection()
        elif verb in self.how.silent_at:
            self._silent = True
        elif verb in self.how.answers:
            answer = self.how.answers[verb]
            self._send(answer.replace(b"%t", tag) if tag else answer)
        else:
            return False
        return True

    def _accident(self, message: int) -> Callable[[], None] | None:
        """What happens in the middle of this one."""
        how = self.how
        accidents = ((how.reset_in, self._drop_soon), (how.cut_in, self._hang_up), (how.stop_in, self._fall_silent))
        return next((happens for number, happens in accidents if number == message), None)

    def _hand_over(self, message: int, whole: bytes) -> bool:
        """Send what a message is, or half of it and then have the accident; whether all of it went out."""
        accident = self._accident(message)
        self._send(whole if accident is None else whole[: len(whole) // 2], accident)
        return accident is None

    def _drop_soon(self) -> None:
        """Reset the connection when the client has had time to read: a reset overtakes what was sent."""
        self._silent = True
        if self.server.reactor is None:
            self.drop()
        else:
            self._dropping = self.server.reactor.callLater(0.05, self.drop)

    def _fall_silent(self) -> None:
        self._silent = True

    def _hang_up(self) -> None:
        self._silent = True
        self.transport.loseConnection()
