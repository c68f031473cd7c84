"""A legacy server with the habits of servers that cannot be installed here, each habit with where it is told of.

    server = QuirkyServer(messages, Behaviour(), Habits(oldest=250, pops=True))

What it is made of is `server.LegacyServer`; the habits come on top of its behaviour. Whatever a server remembers from
one session to the next (what was fetched, who holds the lock, what today's allowance has come to) is kept in the
server, and a test may change it, as night and day do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from tests.legacy.server import Behaviour, LegacyProtocol, LegacyServer, stuffed, unique_id


@dataclass(frozen=True, slots=True)
class Source:
    """Where a quirk is told of: an issue ("owner/repository#1"), a page, an RFC's section."""

    title: str
    where: str


@dataclass(slots=True)
class Habits:
    """What the server does its own way. By default nothing. Messages are counted from 1 as the mailbox holds them."""

    # Logging in
    full: bool = False  # it hangs up on everybody at once
    banner: Sequence[bytes] = ()  # lines behind the greeting
    prompt: bytes = b""  # what stands in the challenge to AUTH PLAIN
    welcome: bytes = b""  # the words behind +OK to a login
    names: frozenset[bytes] | None = None  # the only logins that it knows
    again: deque[bytes] = field(default_factory=deque)  # what logins are answered once somebody is in, while it lasts
    one_session: bytes = b""  # the answer to a login while another session has the mailbox
    drops: int = 0  # so many logins are answered +OK, and hung up on
    stale: int = 0  # so many logins more get that answer after a session that ended without QUIT

    # What it lists
    newest: int = 0  # only so many of the newest; 0: all
    oldest: int = 0  # only so many of the oldest
    pops: bool = False  # a session that ends with QUIT hides what was fetched in it from all sessions after it
    hidden: frozenset[bytes] = frozenset()  # unique-ids of what it does not list
    numbers: Sequence[int] = ()  # the messages' numbers, where they are not 1, 2, 3…
    listed: Sequence[int] = ()  # the order in which LIST and UIDL go through the numbers, or some of them
    named: Sequence[int] = ()  # the same for UIDL alone
    stat: bytes = b""  # what STAT says instead
    line: bytes = b"%d %s"  # a line of LIST
    name: bytes = b"%d %s"  # a line of UIDL
    before: bytes = b""  # what comes in front of a listing's first line
    twice: bool = False  # each line of a listing comes twice

    # What it gives
    status: bytes = b""  # the words behind +OK
    unstuffed: bool = False  # dots are not doubled
    as_stored: bool = False  # lines of messages end as they are, with LF, and only the last one with CRLF
    endings: Mapping[int, bytes] = field(default_factory=dict)  # by number: what a message ends with, not ".\r\n"
    closes: frozenset[int] = frozenset()  # messages behind which it hangs up
    refuses: Mapping[int, bytes] = field(default_factory=dict)  # by number: the answer to RETR

    # What it allows
    retrievals: int = 0  # RETRs a session
    commands: int = 0  # commands a session
    allowance: int = 0  # octets until a test allows more
    over: bytes = b""  # what is said of all that is over one of these; nothing: it hangs up
    idle: float = 0.0  # seconds without a command after which it hangs up
    farewell: bytes = b""  # what it says then


class QuirkyServer(LegacyServer):
    """The server, and what it remembers."""

    def __init__(self, messages: Sequence[bytes], behaviour: Behaviour, habits: Habits) -> None:
        super().__init__(messages, behaviour)
        self.habits = habits
        self.let_in = 0  # logins
        self.given = 0  # octets of messages
        self.popped: set[bytes] = set()  # unique-ids
        self.locks = 0  # logins that are still to be answered with `one_session`

    def connection(self) -> QuirkyProtocol:
        return QuirkyProtocol(self)

    def visible(self) -> list[bytes]:
        """The messages that are listed now."""
        away = self.popped | self.habits.hidden
        box = [message for message in self.messages if unique_id(message) not in away]
        if self.habits.newest:
            return box[-self.habits.newest :]
        return box[: self.habits.oldest] if self.habits.oldest else box


class QuirkyProtocol(LegacyProtocol):
    """One connection to it."""

    server: QuirkyServer

    def __init__(self, server: QuirkyServer) -> None:
        super().__init__(server)
        self.habits = server.habits
        self._by_number: dict[int, bytes] = {}
        self._inside = False
        self._quit = False
        self._retrieved: list[bytes] = []
        self._commands = 0
        self._idle: Any = None

    def connectionMade(self) -> None:
        super().connectionMade()
        if self.habits.full:
            self._hang_up()
        self._send(b"".join(line + b"\r\n" for line in self.habits.banner))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        if self._inside and not self._quit:
            self.server.locks = self.habits.stale
        super().connectionLost(reason)

    def _line(self, line: bytes) -> None:
        self._commands += 1
        if self.habits.commands and self._commands > self.habits.commands:
            self._over_limit()
            return
        super()._line(line)
        self._watch_idleness()

    def _watch_idleness(self) -> None:
        if not self.habits.idle or self._silent:
            return
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        self._idle = self.server.reactor.callLater(self.habits.idle, self._gone_idle)

    def _gone_idle(self) -> None:
        if self.habits.farewell:
            self._send(self.habits.farewell + b"\r\n")
        self._hang_up()

    def _over_limit(self) -> None:
        if self.habits.over:
            self._send(self.habits.over + b"\r\n")
        else:
            self._hang_up()

    # Logging in

    def _log_in(self, name: bytes, right: bool) -> None:
        habits, server = self.habits, self.server
        others = [
            each for each in server.open if each is not self and isinstance(each, QuirkyProtocol) and each._inside
        ]
        if habits.again and server.let_in:
            self._send(habits.again.popleft() + b"\r\n")
            return
        if habits.one_session and right and (others or server.locks):
            server.locks = max(0, server.locks - 1)
            self._send(habits.one_session + b"\r\n")
            return
        known = habits.names is None or name in habits.names
        super()._log_in(name, right and known)
        if right and known and self.how.login_refusal is None:
            self._inside = True
            server.let_in += 1
            if server.let_in <= habits.drops:
                self._hang_up()
            self._box = server.visible()
            numbers = habits.numbers or range(1, len(self._box) + 1)
            self._by_number = dict(zip(numbers, self._box, strict=True))

    def _ok(self, words: bytes = b"done") -> None:
        super()._ok(self.habits.welcome if words == b"logged in" and self.habits.welcome else words)

    def do_AUTH(self, rest: bytes) -> None:
        if self.habits.prompt and rest.upper().startswith(b"PLAIN"):
            self._expects_sasl = True
            self._send(b"+ " + self.habits.prompt + b"\r\n")
        else:
            super().do_AUTH(rest)

    def do_QUIT(self, rest: bytes) -> None:
        self._quit = True
        if self.habits.pops:
            self.server.popped.update(map(unique_id, self._retrieved))
        super().do_QUIT(rest)

    # Listings

    def do_STAT(self, rest: bytes) -> None:
        if self.habits.stat:
            self._ok(self.habits.stat)
        else:
            super().do_STAT(rest)

    def do_LIST(self, _rest: bytes) -> None:
        sizes = self.how.sizes
        order = self.habits.listed or self._by_number
        self._listing(self.habits.line, [(n, sizes.get(n, b"%d" % len(self._by_number[n]))) for n in order])

    def do_UIDL(self, rest: bytes) -> None:
        if not self.how.uidl:
            super().do_UIDL(rest)
            return
        uidls = self.how.uidls
        order = self.habits.named or self.habits.listed or self._by_number
        self._listing(self.habits.name, [(n, uidls.get(n, unique_id(self._by_number[n]))) for n in order])

    def _listing(self, form: bytes, rows: Sequence[tuple[int, bytes]]) -> None:
        lines = [form % row for row in rows]
        if self.habits.twice:
            lines = [line for line in lines for _ in range(2)]
        self._lines([*self.habits.before.split(b"\r\n")[:-1], *lines])

    # Messages

    def do_RETR(self, rest: bytes) -> None:
        habits, number = self.habits, int(rest)
        message = self._by_number.get(number)
        if message is None or number in self.how.vanished:
            self._err(b"no such message")
        elif number in habits.refuses:
            self._send(habits.refuses[number] + b"\r\n")
        elif self._exhausted(message):
            self._over_limit()
        else:
            self._give(number, message)

    def _exhausted(self, message: bytes) -> bool:
        habits = self.habits
        if habits.retrievals and len(self._retrieved) >= habits.retrievals:
            return True
        return bool(habits.allowance) and self.server.given + len(message) > habits.allowance

    def _give(self, number: int, message: bytes) -> None:
        habits = self.habits
        self._retrieved.append(message)
        self.server.given += len(message)
        eol = self.how.eol
        block = stuffed(message, eol)
        if habits.unstuffed:
            block = message + (b"" if message.endswith(eol) else eol) + b"." + eol
        if habits.as_stored:
            block = stuffed(message, b"\n")[:-1] + eol
        if number in habits.endings:
            block = block[: -len(b"." + eol)] + habits.endings[number]
        words = b" " + habits.status if habits.status else b""
        self._send(b"+OK" + words + eol + block, self._hang_up if number in habits.closes else None)
