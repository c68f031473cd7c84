"""How guesses are slowed down here, and kept from becoming guesses at the legacy server (invariant 10).

All that is remembered is bounded, and in this process only, which asks for all workers; when it is reloaded, the next
daemon is told (`remembered`): a reload forgives nothing. Failures make the next
refusals slower: by the machine that they come from, by its network, however many addresses it has, and by the account,
however many networks guess at it. Who has the right password waits for nothing. A wrong password is remembered for a
while, so that a client that repeats it is answered without asking again; and a mailbox at the legacy server, whatever
it is called here, has a budget of questions, which would lock the real user out otherwise. Passwords are kept as keyed
digests under a key that is made at start.

With several nodes each tells the others of its refusals (`tell`), and they count them (`count`) as if they had been
theirs; and all together hold back as many as one node would (`among`). So guesses are no quicker for being spread over
nodes, but for those that come before the news of the last ones. What is told may be lost with the connection to the
database, without which nobody is let in anyway.

The same wrong password again and again is a program, not a guess: a telephone that still has the password of before it
was changed, and looks for mail every few minutes. Each time that the legacy server says no to it, it is remembered for
longer. When the server says no to the password that the account has here, it has been changed there, and to whatever:
nothing that was wrong before need be so now (`changed`).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from proxy.login.origins import origin
from proxy.wire.arrivals import Arrivals
from proxy.wire.door import Secret

WRONG_SECONDS: Final = 60.0  # a wrong password is not tried again at the legacy server for so long
STUBBORN: Final = (WRONG_SECONDS, 600.0, 3600.0)  # the first time, the second, and from the third on
REMEMBERED: Final = 4 * 3600.0  # seconds after which a wrong password is one for the first time again
RIGHT_SECONDS: Final = 600.0  # a right one is not hashed again for so long
FAILURES: Final = 8  # wrong passwords of one account that reach the legacy server within
FAILURE_SECONDS: Final = 600.0
SLOW_AFTER: Final = 3  # failures of a machine that cost it nothing
NETWORK_SLOW_AFTER: Final = 20  # … of a network: an office, where some have mistyped
ACCOUNT_SLOW_AFTER: Final = 10  # … at an account: its own user's programs
SLOWEST: Final = 16.0  # seconds before an answer
GUESS_SECONDS: Final = 900.0  # for which a failure counts
HELD_EACH: Final = 50  # refusals to one machine that are held back at the same time
HELD_ALL: Final = 1_000
_MOST: Final = 100_000  # entries in each memory; the oldest are forgotten first
_TIMES: Final = 64  # that are remembered of one key


class Guess(NamedTuple):
    """A refusal, and what it counts against: an account, a machine, a network; "" where it counts against none."""

    account: str
    machine: str
    network: str


def _untold(_guess: Guess) -> None:
    """There is one node."""


class _Memory:
    """Marks that fade: key to the time until which it holds."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def mark(self, key: bytes) -> None:
        self._until[key] = self._clock() + self._seconds
        self._until.move_to_end(key)
        while len(self._until) > _MOST:
            self._until.popitem(last=False)

    def holds(self, key: bytes) -> bool:
        until = self._until.get(key)
        if until is None:
            return False
        if until <= self._clock():
            del self._until[key]
            return False
        return True

    def clear(self, key: bytes) -> None:
        self._until.pop(key, None)

    @property
    def remembered(self) -> list[list[Any]]:
        return [[key.hex(), until] for key, until in self._until.items()]

    @remembered.setter
    def remembered(self, marks: list[list[Any]]) -> None:
        self._until = OrderedDict((bytes.fromhex(key), until) for key, until in marks)


class _Wrong:
    """Passwords that the legacy server did not take: key to how often that was, and until when it is not asked."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: OrderedDict[bytes, tuple[int, float]] = OrderedDict()

    def mark(self, key: bytes) -> None:
        times, until = self._until.get(key, (0, 0.0))
        now = self._clock()
        if until + REMEMBERED <= now:
            times = 0
        self._until[key] = (times + 1, now + STUBBORN[min(times, len(STUBBORN) - 1)])
        self._until.move_to_end(key)
        while len(self._until) > _MOST:
            self._until.popitem(last=False)

    def holds(self, key: bytes) -> bool:
        return self._clock() < self._until.get(key, (0, 0.0))[1]

    def clear(self, key: bytes) -> None:
        self._until.pop(key, None)

    @property
    def remembered(self) -> list[list[Any]]:
        return [[key.hex(), times, until] for key, (times, until) in self._until.items()]

    @remembered.setter
    def remembered(self, marks: list[list[Any]]) -> None:
        self._until = OrderedDict((bytes.fromhex(key), (times, until)) for key, times, until in marks)


class _Recent:
    """How often something happened within a span of time, by key."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._times: OrderedDict[str, list[float]] = OrderedDict()  # most have few, of which a deque makes much

    def add(self, key: str) -> None:
        times = self._times.setdefault(key, [])
        times.append(self._clock())
        del times[:-_TIMES]
        self._times.move_to_end(key)
        while len(self._times) > _MOST:
            self._times.popitem(last=False)

    def count(self, key: str) -> int:
        times = self._times.get(key)
        if times is None:
            return 0
        oldest = self._clock() - self._seconds
        del times[: bisect_right(times, oldest)]
        if not times:
            del self._times[key]
        return len(times)

    def growing(self, key: str, free: int) -> float:
        """Seconds that what happened so often is to take; so many times are `free`."""
        more = self.count(key) - free
        return min(SLOWEST, 0.5 * 2.0 ** min(more, 10)) if more > 0 else 0.0

    def clear(self, key: str) -> None:
        self._times.pop(key, None)

    @property
    def remembered(self) -> list[list[Any]]:
        return [[key, times] for key, times in self._times.items()]

    @remembered.setter
    def remembered(self, times: list[list[Any]]) -> None:
        self._times = OrderedDict((key, each) for key, each in times)


class Throttle:
    """What is remembered of logins. The clock is in seconds and monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._key = os.urandom(32)
        self._wrong = _Wrong(clock)
        self._changes: OrderedDict[str, str] = OrderedDict()  # by account: the hash of what is no longer its password
        self._right = _Memory(RIGHT_SECONDS, clock)
        self._asked = _Recent(FAILURE_SECONDS, clock)
        self._machines = _Recent(GUESS_SECONDS, clock)
        self._networks = _Recent(GUESS_SECONDS, clock)
        self._accounts = _Recent(GUESS_SECONDS, clock)
        self._held = Arrivals(HELD_EACH, HELD_ALL)
        self.tell: Callable[[Guess], None] = _untold  # called with what other nodes have to count as well

    def remembered(self) -> dict[str, Any]:
        """All of it but who is being answered, as JSON, for the next daemon in this process. No password is in it, but
        what one can be tried against: it is for no disk."""
        memories = {name: memory.remembered for name, memory in self._memories().items()}
        return memories | {"key": self._key.hex(), "changes": list(self._changes.items())}

    def remember(self, remembered: Mapping[str, Any]) -> None:
        """What the daemon before this one remembered."""
        self._key = bytes.fromhex(remembered["key"])
        self._changes = OrderedDict((account, stored) for account, stored in remembered["changes"])
        for name, memory in self._memories().items():
            memory.remembered = remembered[name]

    def _memories(self) -> dict[str, _Memory | _Wrong | _Recent]:
        return {
            "wrong": self._wrong,
            "right": self._right,
            "asked": self._asked,
            "machines": self._machines,
            "networks": self._networks,
            "accounts": self._accounts,
        }

    def _digest(self, account: str, password: Secret, stored: str) -> bytes:
        text = b"\0".join([account.encode(), stored.encode(), password.reveal()])
        return hmac.digest(self._key, text, hashlib.sha256)

    def refused(self, peer: str, account: str | None, *, guessed: bool) -> float:
        """A login from this address was refused: seconds that the refusal is held back. One that was `guessed` counts
        against where it came from, and each that could have been against the account; None: it was nobody's."""
        where = origin(peer) if guessed else None
        guess = Guess(account or "", where.machine if where else "", where.network if where else "")
        delay = max((memory.growing(key, free) for memory, key, free in self._counted(guess)), default=0.0)
        self.count(guess)
        self.tell(guess)
        return delay

    def count(self, guess: Guess) -> None:
        """A login was refused, here or on another node."""
        for memory, key, _ in self._counted(guess):
            memory.add(key)

    def _counted(self, guess: Guess) -> list[tuple[_Recent, str, int]]:
        """Where it counts, as what, and how many of them are free."""
        memories = (
            (self._accounts, guess.account, ACCOUNT_SLOW_AFTER),
            (self._machines, guess.machine, SLOW_AFTER),
            (self._networks, guess.network, NETWORK_SLOW_AFTER),
        )
        return [each for each in memories if each[1]]

    def among(self, nodes: int) -> None:
        """There are so many nodes: each holds back its part of the refusals."""
        self._held.limit(max(1, HELD_EACH // nodes), max(1, HELD_ALL // nodes))

    def doubts(self, peer: str) -> bool:
        """Have there been guesses from there lately?"""
        where = origin(peer)
        return self._machines.count(where.machine) > 0 or self._networks.count(where.network) > SLOW_AFTER

    def hold_back(self, peer: str) -> Callable[[], None] | None:
        """A place among the refusals that are held back; None when there are too many. What is given back frees it."""
        return self._held.admit(origin(peer).machine)

    def known_wrong(self, account: str, password: Secret) -> bool:
        """The legacy server said no to just this a while ago, and is not to be asked again now."""
        return self._wrong.holds(self._wrong_digest(account, password))

    def legacy_said_no(self, account: str, password: Secret, mailbox: str) -> None:
        """`mailbox` is what the account is at the legacy server (`LegacyDoor.mailbox_of`)."""
        self._wrong.mark(self._wrong_digest(account, password))
        self._asked.add(mailbox)

    def changed(self, account: str, stored: str) -> None:
        """The legacy server said no to the password of the account's hash: it has another one now, and maybe one that
        was wrong before. That is news once."""
        if self._changes.get(account) != stored:
            self._changes[account] = stored
            self._changes.move_to_end(account)
            while len(self._changes) > _MOST:
                self._changes.popitem(last=False)

    def _wrong_digest(self, account: str, password: Secret) -> bytes:
        return self._digest(account, password, self._changes.get(account, ""))

    def may_ask(self, mailbox: str) -> bool:
        """Are there questions to the legacy server left?"""
        return self._asked.count(mailbox) < FAILURES

    def known_right(self, account: str, password: Secret, stored: str) -> bool:
        """This password was checked against just this stored hash some minutes ago."""
        return self._right.holds(self._digest(account, password, stored))

    def was_right(self, account: str, password: Secret, stored: str) -> None:
        """It was checked against this stored hash, just now."""
        self._right.mark(self._digest(account, password, stored))

    def legacy_said_yes(self, account: str, password: Secret, stored: str, mailbox: str) -> None:
        """The legacy server took it, and its hash is stored. Failures there are forgotten there as well."""
        self.was_right(account, password, stored)
        self._asked.clear(mailbox)
        self._accounts.clear(account)
        self._wrong.clear(self._wrong_digest(account, password))
