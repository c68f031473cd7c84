"""A legacy POP3 server for tests, which can be told to misbehave in every way that real ones do.

    server = LegacyServer([b"Subject: one\\r\\n\\r\\nhello\\r\\n"], Behaviour(uidl=False))
    server.listen(reactor)                      # loopback, a free port: server.port
    …
    await server.close()                        # every connection and the port are gone
    assert server.deletions == 0 and server.passwords == 1

Any user logs in with `Behaviour.password` and finds the same mailbox, unless `mailboxes` has one for the name.
Everything a client sends is kept in `server.commands`, one line each. It is a Twisted factory, so that trial
tests run it in their own reactor; in memory `server.buildProtocol(None)` takes any transport.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

STAMP = b"<1896.697170952@old.example>"
LISTED = (b"USER", b"UIDL", b"TOP", b"PIPELINING", b"RESP-CODES", b"AUTH-RESP-CODE", b"SASL PLAIN")


@dataclass(slots=True)
class Behaviour:
    """How the server behaves. The defaults are a good server's."""

    password: bytes = b"secret"
    greeting: bytes = b"+OK legacy server ready"  # b"": it never greets
    capabilities: Sequence[bytes] | None = LISTED  # None: it does not know CAPA; STLS is added where `tls` is set
    hang_up_at: frozenset[bytes] = frozenset()  # verbs at which it closes the connection
    silent_at: frozenset[bytes] = frozenset()  # verbs that it never answers
    answers: Mapping[bytes, bytes] = field(default_factory=dict)  # by verb: what it says instead, octet by octet
    afterwards: Mapping[bytes, bytes] = field(default_factory=dict)  # by verb: what it says unasked after that

    tls: Any = None  # `certificates.Identity.options()`: STLS, or `listen(implicit=True)`
    hello: Literal["", "hangs up", "ignored"] = ""  # what becomes of a TLS handshake that it does not expect
    injects: bytes = b""  # what it sends in plaintext right behind its +OK to STLS

    apop: Literal["none", "works", "refused", "hangs up"] = "none"  # all but "none" show a stamp
    login_refusal: bytes | None = None  # the answer to a login, whatever the password: b"-ERR [IN-USE] locked"
    challenges: bool = False  # AUTH PLAIN is answered with a challenge even when it brings its response

    uidl: bool = True
    uidls: Mapping[int, bytes] = field(default_factory=dict)  # by number: what UIDL says instead of its own
    sizes: Mapping[int, bytes] = field(default_factory=dict)  # by number: what LIST says instead of the truth
    vanished: frozenset[int] = frozenset()  # numbers that are listed and that RETR refuses
    reset_in: int = 0  # the message in whose middle the connection is reset
    cut_in: int = 0  # the message in whose middle it is closed, without the final dot
    stop_in: int = 0  # the message in whose middle nothing more comes

    pipelining: Literal["yes", "drops", "keeps"] = "yes"  # drops all but the first of a packet; or keeps
    # the rest in a buffer until the next packet
    eol: bytes = b"\r\n"
    pieces: int = 0  # octets a reactor turn; 0: all at once


def stuffed(message: bytes, eol: bytes = b"\r\n") -> bytes:
    """A message as the block of an answer, up to and with the final dot."""
    if message and not message.endswith(eol):
        message += eol
    lines = message.split(eol)
    return eol.join(b"." + line if line.startswith(b".") else line for line in lines) + b"." + eol


class LegacyServer(Factory):
    """The server: what it holds, how it behaves, and what it was asked."""

    noisy = False

    def __init__(
        self,
        messages: Sequence[bytes] = (),
        behaviour: Behaviour | None = None,
        *,
        mailboxes: Mapping[bytes, Sequence[bytes]] | None = None,
    ) -> None:
        self.messages = list(messages)
        self.mailboxes = {name: list(box) for name, box in (mailboxes or {}).items()}
        self.behaviour = behaviour or Behaviour()
        self.commands: list[bytes] = []
        self.connections = 0  # ever made
        self.open: set[LegacyProtocol] = set()
        self.reactor: Any = None
        self.port = 0
        self._listening: IListeningPort | None = None
        self._empty: list[Deferred[None]] = []

    @property
    def deletions(self) -> int:
        """How many DELE came. It is to stay 0."""
        return self.asked(b"DELE")

    @property
    def passwords(self) -> int:
        """How many attempts to log in came."""
        return self.asked(b"PASS") + self.asked(b"APOP") + self.asked(b"AUTH")

    def asked(self, verb: bytes) -> int:
        """How many commands with this verb came."""
        return sum(line.split(b" ")[0].upper() == verb for line in self.commands)

    def listen(self, reactor: Any, *, implicit: bool = False) -> int:
        """Listen on a free port of the loopback interface, with TLS from the start if `implicit`."""
        self.reactor = reactor
        if implicit:
            self._listening = reactor.listenSSL(0, self, self.behaviour.tls, interface="127.0.0.1")
        else:
            self._listening = reactor.listenTCP(0, self, interface="127.0.0.1")
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

    def buildProtocol(self, addr: IAddress | None) -> LegacyProtocol:
        self.connections += 1
        return LegacyProtocol(self)

    def left(self, connection: LegacyProtocol) -> None:
        self.open.discard(connection)
        if not self.open:
            waiting, self._empty = self._empty, []
            for waiter in waiting:
                waiter.callback(None)


class LegacyProtocol(Protocol):
    """One connection to the server."""

    transport: Any

    def __init__(self, server: LegacyServer) -> None:
        self.server = server
        self.how = server.behaviour
        self._in = b""
        self._out = b""
        self._after: Callable[[], None] | None = None
        self._pumping = False
        self._silent = False
        self._user = b""
        self._box: list[bytes] = []
        self._secure = False
        self._expects_sasl = False
        self._dropping: Any = None

    # The transport

    def connectionMade(self) -> None:
        self.server.open.add(self)
        stamp = b" " + STAMP if self.how.apop != "none" else b""
        if self.how.greeting:
            self._send(self.how.greeting + stamp + self.how.eol)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._silent = True
        if self._dropping is not None and self._dropping.active():
            self._dropping.cancel()
        self.server.left(self)

    def dataReceived(self, data: bytes) -> None:
        if self.how.hello and data.startswith(b"\x16"):
            self._silent = True
            if self.how.hello == "hangs up":
                self.transport.loseConnection()
        elif self.how.pipelining == "yes":
            *lines, self._in = (self._in + data).split(b"\r\n")
            for line in lines:
                self._line(line)
        elif self.how.pipelining == "drops":
            self._line(data.split(b"\r\n")[0])
        else:
            first, _, self._in = (self._in + data).partition(b"\r\n")
            self._line(first)

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
        self._after = then or self._after
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
        then, self._after = self._after, None
        if then is not None:
            then()

    # Commands

    def _line(self, line: bytes) -> None:
        if self._silent:
            return
        self.server.commands.append(line)
        if self._expects_sasl:
            self._expects_sasl = False
            self._plain(line)
            return
        verb, _, rest = line.partition(b" ")
        verb = verb.upper()
        if verb in self.how.hang_up_at:
            self.transport.loseConnection()
        elif verb in self.how.silent_at:
            self._silent = True
        elif verb in self.how.answers:
            self._send(self.how.answers[verb])
        else:
            getattr(self, "do_" + verb.decode("ascii", "replace"), self._unknown)(rest)
        if verb in self.how.afterwards:
            self._send(self.how.afterwards[verb])

    def _ok(self, words: bytes = b"done") -> None:
        self._send(b"+OK " + words + self.how.eol)

    def _err(self, words: bytes) -> None:
        self._send(b"-ERR " + words + self.how.eol)

    def _unknown(self, _rest: bytes) -> None:
        self._err(b"unknown command")

    def _lines(self, lines: Sequence[bytes]) -> None:
        eol = self.how.eol
        self._send(b"+OK follows" + eol + b"".join(line + eol for line in lines) + b"." + eol)

    def do_CAPA(self, _rest: bytes) -> None:
        if self.how.capabilities is None:
            self._err(b"what is CAPA?")
        else:
            tls = [b"STLS"] if self.how.tls is not None and not self._secure else []
            self._lines([*self.how.capabilities, *tls])

    def do_STLS(self, _rest: bytes) -> None:
        if self.how.tls is None or self._secure:
            self._err(b"no TLS here")
            return
        self._secure = True
        self._send(b"+OK begin" + self.how.eol + self.how.injects)
        self.transport.startTLS(self.how.tls)

    def do_USER(self, rest: bytes) -> None:
        self._user = rest
        self._ok(b"name taken")

    def do_PASS(self, rest: bytes) -> None:
        self._log_in(self._user, rest == self.how.password)

    def do_APOP(self, rest: bytes) -> None:
        name, _, digest = rest.rpartition(b" ")
        right = hashlib.md5(STAMP + self.how.password).hexdigest().encode()
        if self.how.apop == "works":
            self._log_in(name, digest == right)
        else:
            self._err(b"authorization failed")
            if self.how.apop == "hangs up":
                self.transport.loseConnection()

    def do_AUTH(self, rest: bytes) -> None:
        mechanism, _, response = rest.partition(b" ")
        if mechanism.upper() != b"PLAIN":
            self._err(b"unknown mechanism")
        elif response and not self.how.challenges:
            self._plain(response)
        else:
            self._expects_sasl = True
            self._send(b"+ " + self.how.eol)

    def _plain(self, response: bytes) -> None:
        _, name, password = base64.b64decode(response).split(b"\0")
        self._log_in(name, password == self.how.password)

    def _log_in(self, name: bytes, right: bool) -> None:
        if self.how.login_refusal is not None:
            self._send(self.how.login_refusal + self.how.eol)
        elif right:
            self._box = self.server.mailboxes.get(name, self.server.messages)
            self._ok(b"logged in")
        else:
            self._err(b"[AUTH] wrong")

    def do_STAT(self, _rest: bytes) -> None:
        self._ok(b"%d %d" % (len(self._box), sum(map(len, self._box))))

    def do_LIST(self, _rest: bytes) -> None:
        sizes = self.how.sizes
        self._lines([b"%d %s" % (n, sizes.get(n, b"%d" % len(m))) for n, m in enumerate(self._box, 1)])

    def do_UIDL(self, _rest: bytes) -> None:
        if not self.how.uidl:
            self._err(b"unknown command")
            return
        uidls = self.how.uidls
        self._lines([b"%d %s" % (n, uidls.get(n, unique_id(m))) for n, m in enumerate(self._box, 1)])

    def do_RETR(self, rest: bytes) -> None:
        number = int(rest)
        if not 1 <= number <= len(self._box) or number in self.how.vanished:
            self._err(b"no such message")
            return
        whole = b"+OK" + self.how.eol + stuffed(self._box[number - 1], self.how.eol)
        half = whole[: len(whole) // 2]
        if number == self.how.reset_in:
            self._send(half, self._drop_soon)
        elif number == self.how.cut_in:
            self._send(half, self._hang_up)
        elif number == self.how.stop_in:
            self._send(half, self._fall_silent)
        else:
            self._send(whole)

    def do_TOP(self, rest: bytes) -> None:
        number, lines = map(int, rest.split())
        head, _, body = self._box[number - 1].partition(b"\r\n\r\n")
        kept = b"".join(line + b"\r\n" for line in body.split(b"\r\n")[:lines])
        self._send(b"+OK\r\n" + stuffed(head + b"\r\n\r\n" + kept))

    def do_NOOP(self, _rest: bytes) -> None:
        self._ok()

    def do_QUIT(self, _rest: bytes) -> None:
        self._send(b"+OK bye" + self.how.eol, self.transport.loseConnection)

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


def unique_id(message: bytes) -> bytes:
    """The unique-id that the server gives a message by itself."""
    return hashlib.sha1(message).hexdigest()[:16].encode()
