"""A company's day: who comes when, to which node, how long each waits, and what becomes of it.

Real are the gate with its throttle and its lines of hashes, the mover with its turns and outcomes, the rounds, the door
with its hosts' schedules and places; and, where there are several nodes, their leases of accounts, their shares of the
host's connections and the wrong passwords that they count together. Modelled are the legacy server (`legacy`), how long
a mailbox takes (`moving`), a hash, the accounts' database (`store`), and what the nodes' tables are kept in (`shared`).
Each login comes to any node, as a balancer has it that knows nothing of accounts.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final

from argon2.exceptions import VerifyMismatchError
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from mailstore import secrets
from mailstore.accounts import Account
from mailstore.secrets import Sealer
from proxy import config
from proxy.daemon.beside import Beside
from proxy.login.asking import ask
from proxy.login.gate import LoginGate
from proxy.login.hashing import Hashing
from proxy.login.legacy import LegacyDoor
from proxy.login.mover import Mover
from proxy.login.notes import LoginNotes
from proxy.login.rounds import Rounds
from proxy.wire.door import Credentials, Hold, LoginRefused, Refusal, Secret
from tests.bench.simulating.clock import HeapClock
from tests.bench.simulating.legacy import WRONG, Mailboxes, Old, Server, Speech
from tests.bench.simulating.moving import Homes, Moved
from tests.bench.simulating.shared import Lines, Shared
from tests.bench.simulating.store import Memory, number_of

HOUR: Final = 3600
MONDAY: Final = 1_700_438_400  # seconds since 1970: a Monday's midnight
DOMAIN: Final = "123.com"
HASH_SECONDS: Final = 0.03  # of a core
_CONFIG = """
hostname = "mail.123.com"
state = "/nowhere"
[listen]
imap = ["tcp:143"]
[migration]
hold_limit = "{hold}s"
round = "{round}s"
[domain."123.com".legacy]
host = "old"
connections = {connections}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated. `active`: the part of the accounts that comes on this day. `peak`: the part of those that
    comes around nine. `clumsy`: the part that mistypes first; `stubborn`: telephones that have an old password."""

    accounts: int = 1_000_000
    active: float = 0.7
    logins: int = 2  # of each who is active, on average, the first one included
    at_once: float = 0.1  # the part of those whose second program logs in within the first one's minute
    peak: float = 0.6
    peak_minutes: float = 25.0
    clumsy: float = 0.02
    stubborn: float = 0.002
    hours: float = 24.0
    nodes: int = 2
    cores: int = 2  # of each node
    connections: int = 100  # that we allow ourselves, on all nodes together
    hold: float = 1200.0
    round: float = 6 * HOUR  # between two looks at a mailbox that nobody asks for; 0: there are none
    again: float = 300.0  # seconds after which a client that was told to come later comes again
    gives_up: int = 60  # times
    seed: int = 1
    server: Server = field(default_factory=Server)
    mailboxes: Mailboxes = field(default_factory=lambda: Mailboxes(800, 20_000, 60_000))


@dataclass
class Hour:
    """What happened in one hour of the day."""

    logins: int = 0  # that came, those that came again included
    firsts: int = 0  # users who came for the first time
    answered: int = 0
    waits: list[float] = field(
        default_factory=list
    )  # of first logins that were let in in this hour, from the first try on
    later_waits: list[float] = field(default_factory=list)  # of later ones
    temporary: int = 0  # told to come later
    wrong: int = 0
    moves: int = 0  # first moves that came to their end
    messages: int = 0
    octets: int = 0
    inside: list[int] = field(default_factory=list)  # connections at the legacy server, by the minute
    queue: list[int] = field(default_factory=list)  # who waited for one
    held: list[int] = field(default_factory=list)  # logins that were waiting
    hashes: list[int] = field(default_factory=list)


class NoLog:
    """Keeps nothing but what is not to happen."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, dict[str, Any]]] = []

    def info(self, _event: str, **_fields: Any) -> None: ...

    warning = info

    def error(self, event: str, **fields: Any) -> None:
        self.errors.append((event, fields))


class NoHasher:
    """Stands for Argon2, whose time is modelled: no two hashes are the same."""

    def __init__(self) -> None:
        self._salts = count()

    def hash(self, password: bytes) -> str:
        return f"{next(self._salts)} {password.hex()}"

    def verify(self, stored: str, password: bytes) -> bool:
        if stored.partition(" ")[2] != password.hex():
            raise VerifyMismatchError
        return True


def at_once(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    return maybeDeferred(function, *arguments)


class Node:
    """One process with a gate. `lines`: to others, if there are any."""

    def __init__(
        self, plan: Plan, old: Old, accounts: Any, queue: Any, clock: HeapClock, log: Any, lines: Lines | None
    ) -> None:
        settings = config.parse(
            _CONFIG.format(hold=round(plan.hold), round=round(plan.round), connections=plan.connections).encode()
        )

        def now() -> float:
            return MONDAY + clock.seconds()

        self.door = LegacyDoor(settings, clock, logins=partial(ask, accounts, at_once, accounts.legacy_login))
        self.door._servers[DOMAIN].speech = Speech(old, lambda user: number_of(user.decode()))
        homes: Any = Homes()
        make_move: Any = Moved
        self.beside: Beside | None = None
        if lines is not None:
            line: Any = lines.line()
            shared: Any = lines.shared
            about = {"reactor": clock, "in_thread": at_once, "log": log}
            self.beside = Beside(line, shared, accounts, homes, self.door, **about)
            self.beside.leased.name = f"node {len(lines.all)}"
        self.mover = Mover(
            settings,
            accounts,
            Sealer(b"k" * secrets.KEY_OCTETS),
            homes,
            self.door,
            reactor=clock,
            in_thread=at_once,
            log=log,
            now=now,
            leasing=None if self.beside is None else self.beside.leased,
            make_move=make_move,
        )

        def hashed(function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
            result: Deferred[Any] = Deferred()
            clock.callLater(HASH_SECONDS, lambda: result.callback(function(*arguments)))
            return result

        self.hashing = Hashing(hashed, plan.cores)
        self.gate = LoginGate(
            settings,
            accounts,
            Sealer(b"k" * secrets.KEY_OCTETS),
            homes,
            self.door,
            self.mover,
            reactor=clock,
            in_thread=at_once,
            log=log,
            notes=LoginNotes(accounts, clock=clock, in_thread=at_once, log=log),
            hashing=self.hashing,
            asked=None if self.beside is None else self.beside.ceiling,
        )
        every = settings.migration.round
        self.rounds = Rounds(
            self.door.hosts, queue, self.mover, clock=clock, in_thread=at_once, log=log, every=every, now=now
        )
        self.schedule = self.door.hosts[0].schedule

    async def start(self) -> None:
        if self.beside is not None:
            await self.beside.start()
        await self.rounds.start()


class Day:
    """Play it once."""

    def __init__(self, plan: Plan, store: Callable[[Callable[[], float]], tuple[Any, Any]] | None = None) -> None:
        """`store` makes accounts and queue, over a clock; those in memory if it is not said, which several nodes
        need."""
        secrets._hasher = NoHasher()  # type: ignore[misc,assignment]
        self.plan = plan
        self.clock = HeapClock()
        self.log = NoLog()
        self.dice = random.Random(plan.seed)
        self.old = Old(plan.server, plan.mailboxes, self.clock)
        if store is None:
            memory = Memory(DOMAIN, plan.accounts, self._now)
            self.accounts: Any = memory
            queue: Any = memory
        else:
            self.accounts, queue = store(self._now)
        self.shared = Shared(self._now)
        lines = None
        if plan.nodes > 1:
            assert store is None
            memory.shared, self.shared.go_on = self.shared, memory.go_on
            lines = Lines(self.shared, self.clock)
        self.nodes = [
            Node(plan, self.old, self.accounts, queue, self.clock, self.log, lines) for _ in range(plan.nodes)
        ]
        self.hours = [Hour() for _ in range(int(plan.hours + 0.999))]
        self.held = 0
        self.inside: dict[int, float] = {}  # who has been let in, and when first
        self.came: dict[int, float] = {}  # who has come, and when first
        self.lost = 0  # who gave up
        self._last = (0, 0, 0)
        self.states: Counter[str] = Counter()
        self.told: Callable[[Day], None] = lambda _day: None  # called when another hour has passed

    def _now(self) -> float:
        return MONDAY + self.clock.seconds()

    @property
    def hour(self) -> Hour:
        return self.hours[min(int(self.clock.seconds() / HOUR), len(self.hours) - 1)]

    def _arrivals(self) -> list[tuple[float, int]]:
        """When each comes: most around nine, some around half past one, others at any time of a working day."""
        dice, plan, found = self.dice, self.plan, []
        for number in range(1, plan.accounts + 1):
            if dice.random() >= plan.active:
                continue
            kind = dice.random()
            if kind < plan.peak:
                first = dice.gauss(9 * HOUR, plan.peak_minutes * 60)
            elif kind < plan.peak + 0.15:
                first = dice.gauss(13.5 * HOUR, HOUR)
            else:
                first = dice.uniform(6 * HOUR, 20 * HOUR)
            first = min(max(first, 0.0), plan.hours * HOUR - 60)
            found.append((first, number))
            at_once = plan.at_once and dice.random() < plan.at_once
            for more in range(plan.logins - 1):
                later = 60.0 if at_once and not more else plan.hours * HOUR - first
                found.append((first + dice.random() * later, number))
        found.sort()
        return found

    def run(self) -> Day:
        arrivals = iter(self._arrivals())
        for node in self.nodes:
            Deferred.fromCoroutine(node.start())
        self._next(arrivals)
        self.clock.callLater(60, self._look)
        self.clock.callLater(HOUR, self._tell)
        self.clock.run(self.plan.hours * HOUR)
        self._look()
        for number in self.came:
            self.states[self.accounts.find(f"u{number}", DOMAIN).state.value] += 1
        return self

    def _next(self, arrivals: Iterator[tuple[float, int]]) -> None:
        for at, number in arrivals:
            if at > self.clock.seconds():
                self.clock.callLater(at - self.clock.seconds(), self._comes, arrivals, number)
                return
            self._come(number)

    def _comes(self, arrivals: Iterator[tuple[float, int]], number: int) -> None:
        self._come(number)
        self._next(arrivals)

    def _come(self, number: int) -> None:
        first = number not in self.came
        if first:
            self.came[number] = self.clock.seconds()
            self.hour.firsts += 1
            if random.Random(number * 7 + self.plan.seed).random() < self.plan.clumsy:
                self._log_in(number, WRONG + b"1", 1)
                self.clock.callLater(20, self._log_in, number, b"right", 1)
                return
            if random.Random(number * 11 + self.plan.seed).random() < self.plan.stubborn:
                self._telephone(number)
        self._log_in(number, b"right", 1)

    def _telephone(self, number: int) -> None:
        """One that has the old password, and looks every ten minutes."""
        self._log_in(number, WRONG + b" for months", self.plan.gives_up)
        self.clock.callLater(600, self._telephone, number)

    def _log_in(self, number: int, password: bytes, times: int) -> None:
        node = self.nodes[self.dice.randrange(len(self.nodes))] if len(self.nodes) > 1 else self.nodes[0]
        began = self.clock.seconds()
        peer = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.hour.logins += 1
        self.held += 1
        admitted = Deferred.fromCoroutine(
            node.gate.admit(Credentials(f"u{number}@{DOMAIN}".encode(), Secret(password), "imap", peer), Hold())
        )
        admitted.addBoth(self._answered, number, password, times, began)

    def _answered(self, result: Account | Failure, number: int, password: bytes, times: int, began: float) -> None:
        self.held -= 1
        hour, now = self.hour, self.clock.seconds()
        hour.answered += 1
        if not isinstance(result, Failure):
            if began >= self.inside.get(number, now + 1):
                hour.later_waits.append(now - began)
            elif number not in self.inside:
                self.inside[number] = now
                hour.waits.append(now - self.came[number])
            return
        refused = result.trap(LoginRefused) and result.value  # type: ignore[no-untyped-call]
        if refused.refusal is Refusal.WRONG:
            hour.wrong += 1
        else:
            hour.temporary += 1
            if not password.startswith(WRONG):
                if times >= self.plan.gives_up:
                    self.lost += 1
                else:
                    self.clock.callLater(self.plan.again, self._log_in, number, password, times + 1)

    def _tell(self) -> None:
        self.told(self)
        self.clock.callLater(HOUR, self._tell)

    def _look(self) -> None:
        hour, old = self.hour, self.old
        now = (old.moved, old.messages, old.octets)
        hour.moves += now[0] - self._last[0]
        hour.messages += now[1] - self._last[1]
        hour.octets += now[2] - self._last[2]
        self._last = now
        hour.inside.append(self.old.inside)
        hour.queue.append(sum(node.schedule.waiting for node in self.nodes))
        hour.held.append(self.held)
        hour.hashes.append(sum(len(node.hashing._trusted) + len(node.hashing._doubted) for node in self.nodes))
        self.clock.callLater(60, self._look)


def quantile(values: list[float], share: float) -> float:
    """0 where there are none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else 0.0
