"""How long a silent or dawdling server is waited for.

Two rules, both only while it owes an answer and nobody has asked it to pause:

* silence of `limit` seconds is the end;
* so is a stretch of FAIR times that in which neither one answer became complete nor WORTH octets came: a server
  that sends an octet a minute would otherwise be waited for for ever. A slow line that makes progress passes.

The clock is handed in. One timer a connection, which is not touched when data comes.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

FAIR = 5
WORTH = 4096


class Patience:
    """Watches one connection. `limit` tells how long silence may last now, `answered` how many answers came."""

    def __init__(
        self,
        clock: IReactorTime,
        limit: Callable[[], float],
        answered: Callable[[], int],
        expired: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._limit = limit
        self._answered = answered
        self._expired = expired
        self._timer: IDelayedCall | None = None
        self._heard = 0.0  # when something last came
        self._octets = 0  # all that came
        self._stretch = (0.0, 0, 0)  # since when, octets and answers there were then
        self._paused = False

    def wait(self) -> None:
        """Something is owed from now on."""
        if self._timer is None and not self._paused:
            self._fresh()
            self._timer = self._clock.callLater(self._limit(), self._look)

    def heard(self, octets: int) -> None:
        """Something came."""
        self._heard = self._clock.seconds()
        self._octets += octets

    def settled(self) -> None:
        """Nothing is owed any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause(self) -> None:
        """The server is not read from for a while: it cannot be to blame."""
        self._paused = True
        self.settled()

    def resume(self, *, owed: bool) -> None:
        self._paused = False
        if owed:
            self.wait()

    def _fresh(self) -> None:
        self._heard = self._clock.seconds()
        self._stretch = (self._heard, self._octets, self._answered())

    def _look(self) -> None:
        self._timer = None
        now, limit = self._clock.seconds(), self._limit()
        since, octets, answers = self._stretch
        if now - self._heard >= limit:
            self._expired(f"was silent for {limit:g} s")
            return
        if self._answered() > answers or self._octets - octets >= WORTH:
            self._stretch = (now, self._octets, self._answered())
        elif now - since >= FAIR * limit:
            self._expired(f"sent {self._octets - octets} octets in {now - since:.0f} s")
            return
        self._timer = self._clock.callLater(max(self._heard + limit - now, limit / 10), self._look)
