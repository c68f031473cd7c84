"""How guesses are slowed down here, and kept from becoming guesses at the legacy server (invariant 10).

Three memories, all bounded and in this process only: failures by client address make its next answers slower;
a wrong password is remembered for a while, so that a client that repeats it is answered without asking again;
and an account has a budget of questions to the legacy server, which would lock the real user out otherwise.
Passwords are kept as keyed digests under a key that is made at start.

The same wrong password again and again is a program, not a guess: a telephone that still has the password of before it
was changed, and looks for mail every few minutes. Each time that the legacy server says no to it, it is remembered for
longer. When the server says no to the password that the account has here, it has been changed there, and to whatever:
nothing that was wrong before need be so now (`changed`).
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from proxy.wire.door import Secret

WRONG_SECONDS: Final = 60.0  # a wrong password is not tried again at the legacy server for so long
STUBBORN: Final = (WRONG_SECONDS, 600.0, 3600.0)  # the first time, the second, and from the third on
REMEMBERED: Final = 4 * 3600.0  # seconds after which a wrong password is one for the first time again
RIGHT_SECONDS: Final = 600.0  # a right one is not hashed again for so long
FAILURES: Final = 8  # wrong passwords of one account that reach the legacy server within
FAILURE_SECONDS: Final = 600.0
SLOW_AFTER: Final = 3  # failures of an address that cost it nothing
SLOWEST: Final = 16.0  # seconds before an answer
ADDRESS_SECONDS: Final = 900.0
_MOST: Final = 100_000  # entries in each memory; the oldest are forgotten first


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


class _Recent:
    """How often something happened within a span of time, by key."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, key: str) -> None:
        times = self._times.setdefault(key, deque(maxlen=64))
        times.append(self._clock())
        self._times.move_to_end(key)
        while len(self._times) > _MOST:
            self._times.popitem(last=False)

    def count(self, key: str) -> int:
        times = self._times.get(key)
        if times is None:
            return 0
        oldest = self._clock() - self._seconds
        while times and times[0] <= oldest:
            times.popleft()
        if not times:
            del self._times[key]
        return len(times)

    def clear(self, key: str) -> None:
        self._times.pop(key, None)


class Throttle:
    """What is remembered of logins. The clock is in seconds and monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._key = os.urandom(32)
        self._wrong = _Wrong(clock)
        self._changes: OrderedDict[str, str] = OrderedDict()  # by account: the hash of what is no longer its password
        self._right = _Memory(RIGHT_SECONDS, clock)
        self._asked = _Recent(FAILURE_SECONDS, clock)
        self._addresses = _Recent(ADDRESS_SECONDS, clock)

    def _digest(self, account: str, password: Secret, stored: str) -> bytes:
        text = b"\0".join([account.encode(), stored.encode(), password.reveal()])
        return hmac.digest(self._key, text, hashlib.sha256)

    def answer_delay(self, peer: str) -> float:
        """Seconds that a refusal to this address is held back."""
        failures = self._addresses.count(peer) - SLOW_AFTER
        return min(SLOWEST, 0.5 * 2 ** min(failures, 10)) if failures > 0 else 0.0

    def failed(self, peer: str) -> None:
        """A login from this address was refused as wrong."""
        self._addresses.add(peer)

    def known_wrong(self, account: str, password: Secret) -> bool:
        """The legacy server said no to just this a while ago, and is not to be asked again now."""
        return self._wrong.holds(self._wrong_digest(account, password))

    def legacy_said_no(self, account: str, password: Secret) -> None:
        self._wrong.mark(self._wrong_digest(account, password))
        self._asked.add(account)

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

    def may_ask(self, account: str) -> bool:
        """Has the account questions to the legacy server left?"""
        return self._asked.count(account) < FAILURES

    def known_right(self, account: str, password: Secret, stored: str) -> bool:
        """This password was checked against just this stored hash some minutes ago."""
        return self._right.holds(self._digest(account, password, stored))

    def was_right(self, account: str, password: Secret, stored: str) -> None:
        """It was checked against this stored hash, just now."""
        self._right.mark(self._digest(account, password, stored))

    def legacy_said_yes(self, account: str, password: Secret, stored: str) -> None:
        """The legacy server took it, and its hash is stored. Failures there are forgotten there as well."""
        self.was_right(account, password, stored)
        self._asked.clear(account)
        self._wrong.clear(self._wrong_digest(account, password))
