"""A modelled legacy server: how many it lets in, how long an answer takes, how fast mail comes, when it is away.

What it knows of passwords is told at each login. It locks an account for a while after too many wrong ones, as real
servers do; that it never happens to a real user is what `proxy.login.throttle` is for.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred

from proxy.legacy.errors import LegacyBusy, LegacyUnreachable, LoginRejected
from proxy.migration.source import SourceLost
from proxy.wire.door import Secret
from tests.bench.simulating.clock import HeapClock

WRONG = b"wrong"  # the first octets of every wrong password
SLICE = 30.0  # seconds after which a transfer looks how many others there are


@dataclass(frozen=True, slots=True)
class Server:
    """How it is. Rates are of a second; `outages` are from when to when, in seconds of the simulation."""

    connections: int = 100  # that it lets in
    round_trip: float = 0.02
    messages: float = 300.0  # of one connection: what its disk gives
    octets: float = 10e6  # of one connection
    all_octets: float = 100e6  # of all together: its line
    login: float = 0.05  # seconds that a password takes
    window: int = 100  # RETRs under way at once
    guesses: int = 10  # wrong passwords in a quarter of an hour that lock an account
    outages: Sequence[tuple[float, float]] = ()


@dataclass(eq=False)
class Mailboxes:
    """Messages and octets of each, by the account's number, drawn when asked for: lognormal, by two quantiles."""

    median: float
    p99: float
    octets: float  # of a message, on average
    arrivals: int = 4  # messages that come after a move until the next look

    def size(self, number: int) -> tuple[int, int]:
        dice = random.Random(number)
        sigma = math.log(self.p99 / self.median) / 2.326
        messages = max(1, round(self.median * math.exp(dice.gauss(0, sigma))))
        return messages, round(messages * self.octets * dice.uniform(0.4, 1.6))


@dataclass(eq=False)
class Old:
    """The server at work."""

    server: Server
    mailboxes: Mailboxes
    clock: HeapClock
    inside: int = 0
    most: int = 0
    turned_away: int = 0
    octets: int = 0
    messages: int = 0
    moved: int = 0  # mailboxes that came over as a whole
    logins: int = 0
    pulling: int = 0
    lockouts: int = 0  # real users' right passwords that met a locked account
    doubled: int = 0  # mailboxes that were open twice at once
    open: Counter[int] = field(default_factory=Counter)  # connections that are logged in, by account
    taken: Counter[int] = field(default_factory=Counter)  # messages that were fetched, by account
    _guesses: dict[bytes, list[float]] = field(default_factory=dict)

    def wait(self, seconds: float) -> Deferred[None]:
        waiting: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self.clock.callLater(seconds, waiting.callback, None)
        return waiting

    def closed(self, number: int) -> None:
        """One that was logged in."""
        self.open[number] -= 1
        if not self.open[number]:
            del self.open[number]

    @property
    def away(self) -> bool:
        now = self.clock.seconds()
        return any(begin <= now < end for begin, end in self.server.outages)

    def locked(self, user: bytes, *, guess: bool) -> bool:
        times = self._guesses.setdefault(user, []) if guess else self._guesses.get(user, [])
        now = self.clock.seconds()
        times[:] = [at for at in times if now - at < 900]
        if guess:
            times.append(now)
        return len(times) > self.server.guesses


class Connection:
    """One that may log in."""

    capabilities: dict[bytes, tuple[bytes, ...]] = {}  # noqa: RUF012 - nobody writes there

    def __init__(self, old: Old) -> None:
        self.old = old
        self.open = True
        old.inside += 1
        old.most = max(old.most, old.inside)

    def abort(self) -> None:
        if self.open:
            self.open = False
            self.old.inside -= 1


class Speech:
    """A `proxy.login.speaking.Speech`."""

    def __init__(self, old: Old, number_of: Callable[[bytes], int]) -> None:
        self._old = old
        self._number_of = number_of

    async def connect(self, _reactor: Any) -> Any:
        old = self._old
        await old.wait(1.5 * old.server.round_trip)
        if old.away:
            raise LegacyUnreachable("connection refused")
        if old.inside >= old.server.connections:
            old.turned_away += 1
            raise LegacyBusy("too many connections")
        return Connection(old)

    async def login(self, connection: Any, user: bytes, password: Secret) -> None:
        old = self._old
        await old.wait(2 * old.server.round_trip + old.server.login)
        wrong = password.reveal().startswith(WRONG)
        locked = old.locked(user, guess=wrong)
        if wrong or locked:
            old.lockouts += not wrong
            raise LoginRejected("the legacy server refused the login: no")
        old.logins += 1

    def source(self, connection: Any, left: Callable[[], None], user: bytes, _password: Secret) -> Any:
        number = self._number_of(user)
        self._old.doubled += self._old.open[number] > 0
        self._old.open[number] += 1
        return Source(self._old, connection, left, number)


class Source:
    """As much of a `proxy.migration.source.Source` as a modelled move needs."""

    def __init__(self, old: Old, connection: Connection, left: Callable[[], None], number: int) -> None:
        self._old = old
        self._connection = connection
        self._left = left
        self.number = number
        self._waiting: Deferred[None] | None = None

    def taken(self) -> int:
        """Messages that were fetched so far, over whichever connection: what the barriers have reached."""
        return self._old.taken[self.number]

    @property
    def arrived(self) -> int:
        """Messages since the last look."""
        return self._old.mailboxes.arrivals

    def begin(self, *, whole: bool = False) -> None: ...

    async def prove(self) -> None: ...

    async def _pass(self, seconds: float) -> None:
        if not self._connection.open:
            raise SourceLost("the connection was given up")
        waiting = self._old.wait(seconds)
        self._waiting = Deferred(lambda _: waiting.cancel())
        mine = self._waiting
        waiting.addCallbacks(lambda _: mine.called or mine.callback(None), lambda _: None)
        await mine
        if self._old.away or not self._connection.open:
            raise SourceLost("the connection was lost")

    async def list(self) -> tuple[int, int]:
        messages, octets = self._old.mailboxes.size(self.number)
        await self._pass(2 * self._old.server.round_trip + messages * 60 / self._old.server.octets)
        return messages, octets

    async def fetch(self, messages: int, octets: int, took: Callable[[int], None]) -> None:
        """`took` hears of what has come."""
        server, old = self._old.server, self._old
        each = octets / messages if messages else 0
        old.pulling += 1
        try:
            while messages > 0:
                line = min(server.octets, server.all_octets / old.pulling)
                pace = min(server.messages, server.window / server.round_trip, line / each if each else 1e9)
                some = min(messages, max(1, int(pace * SLICE)))
                await self._pass(some / pace)
                messages -= some
                old.octets += round(some * each)
                old.messages += some
                old.taken[self.number] += some
                took(some)
        finally:
            old.pulling -= 1

    async def close(self, *, first: bool = False) -> None:
        self._old.moved += first
        await self._old.wait(self._old.server.round_trip)
        self.abort()

    def abort(self) -> None:
        if self._connection.open:
            self._connection.abort()
            self._old.closed(self.number)
            self._left()
            waiting, self._waiting = self._waiting, None
            if waiting is not None and not waiting.called:
                waiting.errback(SourceLost("the connection was given up"))
