"""So many octets a second from one host, over all connections together.

What is read is counted after it was read. When more came than the time allows, whoever took it is not read from until
the debt is paid; then all who wait for that are read from again, each as much as one read brings. So each gets its
share, and none needs to know of the others. Small answers are counted, and keep nobody waiting: logins and listings of
other users are not to stand behind somebody's large mailbox.

The clock is handed in. There is one timer, while somebody waits.
"""

from __future__ import annotations

from typing import Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

AHEAD: Final = 0.25  # seconds' worth that may be read at once after a pause
SMALL: Final = 1024  # octets of a read that are an answer rather than mail


class Reader(Protocol):
    """A connection."""

    def pause(self, why: object) -> None:
        """Read no more until `resume` for the same reason."""

    def resume(self, why: object) -> None: ...


class Bandwidth:
    """One host's."""

    def __init__(self, octets_per_second: float, clock: IReactorTime) -> None:
        self._rate = octets_per_second
        self._clock = clock
        self._left = octets_per_second * AHEAD
        self._at = clock.seconds()
        self._waiting: dict[Reader, None] = {}
        self._timer: IDelayedCall | None = None

    def took(self, reader: Reader, octets: int) -> None:
        """It has read so much."""
        now = self._clock.seconds()
        self._left = min(self._rate * AHEAD, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= octets
        if self._left >= 0 or octets < SMALL:
            return
        reader.pause(self)
        self._waiting[reader] = None
        if self._timer is None:
            self._timer = self._clock.callLater(-self._left / self._rate, self._go_on)

    def _go_on(self) -> None:
        """The debt that there was is paid; what others read meanwhile, who were let, may have made another."""
        now = self._clock.seconds()
        left = self._left + (now - self._at) * self._rate
        if left < -1.0:
            self._timer = self._clock.callLater(-left / self._rate, self._go_on)
            return
        self._timer = None
        waiting, self._waiting = self._waiting, {}
        for reader in waiting:
            reader.resume(self)

    def stop(self) -> None:
        """Hold nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, {}
        for reader in waiting:
            reader.resume(self)
