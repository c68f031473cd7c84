"""So many octets a second from one host, over all connections together.

What is read is counted after it was read. When more came than the time allows, whoever took it is not read from until
the debt is paid; then all who wait for that are read from again, each as much as one read brings. So each gets its
share, and none needs to know of the others. Small answers are counted, and keep nobody waiting: logins and listings of
other users are not to stand behind somebody's large mailbox.

Where several nodes ask the host, each has a share of it (`proxy.login.allotting`), and says what it has a use for: all
of it while somebody waits, else twice what it took lately.

The clock is handed in. There is one timer, while somebody waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

AHEAD: Final = 0.25  # seconds' worth that may be read at once after a pause
SMALL: Final = 1024  # octets of a read that are an answer rather than mail
MEASURED: Final = 5.0  # seconds over which it is looked what was taken
STEPS: Final = 16  # of what is wanted, so that not every difference is one


class Reader(Protocol):
    """A connection."""

    def pause(self, why: object) -> None:
        """Read no more until `resume` for the same reason."""

    def resume(self, why: object) -> None: ...


class Bandwidth:
    """One host's."""

    def __init__(self, octets_per_second: int, clock: IReactorTime) -> None:
        self.limit = octets_per_second  # of all nodes together
        self.lacking: Callable[[], None] = lambda: None  # called when somebody waits, and this node has not all of it
        self._rate = octets_per_second
        self._clock = clock
        self._left = octets_per_second * AHEAD
        self._at = clock.seconds()
        self._waiting: dict[Reader, None] = {}
        self._timer: IDelayedCall | None = None
        self._wish = 0
        self._taken, self._since, self._waited = 0, self._at, False  # since the last measurement

    def took(self, reader: Reader, octets: int) -> None:
        """It has read so much."""
        self._settle()
        self._left -= octets
        self._taken += octets
        if self._left >= 0 or octets < SMALL:
            return
        reader.pause(self)
        self._waiting[reader] = None
        self._set_timer()
        if not self._waited:
            self._waited = True
            if max(self._rate, self._wish) < self.limit:
                self.lacking()

    def _settle(self) -> None:
        """What the time since has brought."""
        now = self._clock.seconds()
        self._left = min(self._rate * AHEAD, self._left + (now - self._at) * self._rate)
        self._at = now

    def _set_timer(self) -> None:
        if self._timer is None and self._waiting and self._rate:
            self._timer = self._clock.callLater(max(0.0, -self._left / self._rate), self._go_on)

    def _go_on(self) -> None:
        """The debt that there was is paid; what others read meanwhile, who were let, may have made another."""
        self._timer = None
        self._settle()
        if self._left < -1.0:
            self._set_timer()
            return
        waiting, self._waiting = self._waiting, {}
        for reader in waiting:
            reader.resume(self)

    # Of several nodes

    def share(self, octets_per_second: int) -> None:
        """So much of it is this node's from now on; 0: whoever has read a message waits."""
        self._settle()
        self._rate = octets_per_second
        self._left = min(self._left, self._rate * AHEAD)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._set_timer()

    def wanted(self) -> int:
        """Octets a second that this node has a use for."""
        now = self._clock.seconds()
        if self._waited or self._waiting:
            self._wish = self.limit
        elif now - self._since < MEASURED:
            return self._wish
        else:
            step = -(-self.limit // STEPS)
            self._wish = min(self.limit, step * math.ceil(2 * self._taken / (now - self._since) / step))
        self._taken, self._since, self._waited = 0, now, False
        return self._wish

    def stop(self) -> None:
        """Hold nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, {}
        for reader in waiting:
            reader.resume(self)
