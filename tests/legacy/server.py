"""A legacy POP3 server for tests, which can be told to misbehave in every way that real ones do.

    server = LegacyServer([b"Subject: one\\r\\n\\r\\nhello\\r\\n"], Behaviour(uidl=False))
    server.listen(reactor)                      # loopback, a free port: server.port
    …
    await server.close()                        # every connection and the port are gone
    assert server.deletions == 0 and server.passwords == 1

Any user logs in with `Behaviour.password` and finds the same mailbox, unless `mailboxes` has one for the name.
Everything a client sends is kept in `server.commands`, one line each.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.legacy.scripted import Conduct, ScriptedConnection, ScriptedServer

STAMP = b"<1896.697170952@old.example>"
LISTED = (b"USER", b"UIDL", b"TOP", b"PIPELINING", b"RESP-CODES", b"AUTH-RESP-CODE", b"SASL PLAIN")


@dataclass(slots=True, kw_only=True)
class Behaviour(Conduct):
    """How the server behaves. The defaults are a good server's."""

    greeting: bytes = b"+OK legacy server ready"  # b"": it never greets
    capabilities: Sequence[bytes] | None = LISTED  # None: it does not know CAPA; STLS is added where `tls` is set
    afterwards: Mapping[bytes, bytes] = field(default_factory=dict)  # by verb: what it says unasked after that
    hello: Literal["", "hangs up", "ignored"] = ""  # what becomes of a TLS handshake that it does not expect

    apop: Literal["none", "works", "refused", "hangs up"] = "none"  # all but "none" show a stamp
    login_refusal: bytes | None = None  # the answer to a login, whatever the password: b"-ERR [IN-USE] locked"
    challenges: bool = False  # AUTH PLAIN is answered with a challenge even when it brings its response

    uidl: bool = True
    uidls: Mapping[int, bytes] = field(default_factory=dict)  # by number: what UIDL says instead of its own
    sizes: Mapping[int, bytes] = field(default_factory=dict)  # by number: what LIST says instead of the truth
    vanished: frozenset[int] = frozenset()  # numbers that are listed and that RETR refuses

    pipelining: Literal["yes", "drops", "keeps"] = "yes"  # drops all but the first of a packet; or keeps
    # the rest in a buffer until the next packet
    eol: bytes = b"\r\n"


def stuffed(message: bytes, eol: bytes = b"\r\n") -> bytes:
    """A message as the block of an answer, up to and with the final dot."""
    if message and not message.endswith(eol):
        message += eol
    lines = message.split(eol)
    return eol.join(b"." + line if line.startswith(b".") else line for line in lines) + b"." + eol


class LegacyServer(ScriptedServer["LegacyProtocol"]):
    """The server: what it holds, how it behaves, and what it was asked."""

    def __init__(
        self,
        messages: Sequence[bytes] = (),
        behaviour: Behaviour | None = None,
        *,
        mailboxes: Mapping[bytes, Sequence[bytes]] | None = None,
    ) -> None:
        super().__init__()
        self.messages = list(messages)
        self.mailboxes = {name: list(box) for name, box in (mailboxes or {}).items()}
        self.behaviour = behaviour or Behaviour()

    def connection(self) -> LegacyProtocol:
        return LegacyProtocol(self)

    @property
    def harmful(self) -> list[bytes]:
        return [line for line in self.commands if line[:4].upper() == b"DELE"]

    @property
    def deletions(self) -> int:
        """How many DELE came. It is to stay 0."""
        return len(self.harmful)

    @property
    def passwords(self) -> int:
        """How many attempts to log in came."""
        return self.asked(b"PASS") + self.asked(b"APOP") + self.asked(b"AUTH")

    def asked(self, verb: bytes) -> int:
        """How many commands with this verb came."""
        return sum(line.split(b" ")[0].upper() == verb for line in self.commands)


class LegacyProtocol(ScriptedConnection[Behaviour]):
    """One connection to the server."""

    server: LegacyServer

    def __init__(self, server: LegacyServer) -> None:
        super().__init__(server, server.behaviour)
        self._user = b""
        self._box: list[bytes] = []
        self._expects_sasl = False

    # The transport

    def connectionMade(self) -> None:
        super().connectionMade()
        stamp = b" " + STAMP if self.how.apop != "none" else b""
        if self.how.greeting:
            self._send(self.how.greeting + stamp + self.how.eol)

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
        if not self._misbehaves(verb):
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
        self._hand_over(number, b"+OK" + self.how.eol + stuffed(self._box[number - 1], self.how.eol))

    def do_TOP(self, rest: bytes) -> None:
        number, lines = map(int, rest.split())
        head, _, body = self._box[number - 1].partition(b"\r\n\r\n")
        kept = b"".join(line + b"\r\n" for line in body.split(b"\r\n")[:lines])
        self._send(b"+OK\r\n" + stuffed(head + b"\r\n\r\n" + kept))

    def do_NOOP(self, _rest: bytes) -> None:
        self._ok()

    def do_QUIT(self, _rest: bytes) -> None:
        self._send(b"+OK bye" + self.how.eol, self.transport.loseConnection)


def unique_id(message: bytes) -> bytes:
    """The unique-id that the server gives a message by itself."""
    return hashlib.sha1(message).hexdigest()[:16].encode()
