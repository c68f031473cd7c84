"""How guesses at an administrator's password are slowed down: by address, and by name.

A machine that failed often is refused for a while, whichever of its addresses it takes (`proxy.login.origins`). A name
that was guessed at often, from whatever addresses, is refused as well, but for those addresses from which it has logged
in before: a stranger cannot lock an administrator out. In memory, and bounded; with several nodes each tells the others
of wrong passwords (`tell`), which count them (`count`).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from proxy.login.origins import origin

SPAN: Final = 900.0  # seconds
OF_AN_ADDRESS: Final = 10  # failures within them
OF_A_NAME: Final = 30
FREE: Final = 3  # failures that cost an address nothing
SLOWEST: Final = 8.0  # seconds before an answer
_MOST: Final = 10_000


class Attempts:
    """Of one daemon. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._proven: OrderedDict[tuple[str, str], None] = OrderedDict()  # name, and an address that it logged in from
        # Called with the name and the machine of a password that was wrong.
        self.tell: Callable[[str, str], None] = lambda _name, _machine: None

    def refused(self, name: str, address: str) -> bool:
        """Is no password to be looked at now?"""
        if self._count(_origin(address)) >= OF_AN_ADDRESS:
            return True
        return self._count("name " + name) >= OF_A_NAME and (name, address) not in self._proven

    def delay(self, address: str) -> float:
        """Seconds that the next refusal is held back."""
        failures = self._count(_origin(address)) - FREE
        return min(SLOWEST, 0.5 * 2.0**failures) if failures >= 0 else 0.0

    def failed(self, name: str, address: str) -> None:
        """Called before the password is looked at, so that many at once are counted; taken back by `succeeded`."""
        self.count(name, origin(address).machine)

    def count(self, name: str, machine: str) -> None:
        """An attempt at a name from a machine, here or on another node."""
        for key in (f"address {machine}", "name " + name):
            self._failures.setdefault(key, deque(maxlen=64)).append(self._clock())
            self._failures.move_to_end(key)
        while len(self._failures) > _MOST:
            self._failures.popitem(last=False)

    def wrong(self, name: str, address: str) -> None:
        """The password of an attempt that has `failed` was looked at."""
        self.tell(name, origin(address).machine)

    def succeeded(self, name: str, address: str) -> None:
        self._failures.pop(_origin(address), None)
        times = self._failures.get("name " + name)
        if times:
            times.pop()
        self._proven[name, address] = None
        while len(self._proven) > _MOST:
            self._proven.popitem(last=False)

    def _count(self, key: str) -> int:
        times = self._failures.get(key)
        if times is None:
            return 0
        while times and times[0] <= self._clock() - SPAN:
            times.popleft()
        return len(times)


def _origin(address: str) -> str:
    """What an address is counted as."""
    return "address " + origin(address).machine
