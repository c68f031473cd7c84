"""How far RETRs run ahead of the answers: as far as the server keeps up with, and no further.

    a write of RETRs is answered within QUICK seconds     the window doubles, up to its limits
    within a quarter of that                              it is four times as large
    within SLOW                                           it stays
    later                                                 it shrinks to what the server answers in AIM seconds

What is on its way cannot be taken back: a message that somebody waits for comes behind all of it, a server that
ends the session for using too much ends it for all of it. A window of a second or two is as fast as any larger one, on
every line whose round trip is shorter than that.

A `Pace` is kept from one connection to the next of the same server: what was learnt once is not tried again.
"""

from __future__ import annotations

from typing import Final

from proxy.legacy.settings import Window

QUICK: Final = 1.0
SLOW: Final = 3.0
AIM: Final = 1.5
LEAST_MESSAGES: Final = 4
LEAST_OCTETS: Final = 64 * 1024
STEEPEST: Final = 8  # at most to an eighth at once: one answer that took long says little


class Pace:
    """The window of one server at one time, between nothing and `limits`."""

    __slots__ = ("limits", "messages", "octets")

    def __init__(self, limits: Window, start: Window | None = None) -> None:
        """It starts as `start` says, otherwise at its limits."""
        self.limits = limits
        first = start or limits
        self.messages = min(first.messages, limits.messages)
        self.octets = min(first.octets, limits.octets)

    def answered(self, seconds: float) -> None:
        """The last RETR of one write was answered, so long after it was sent."""
        if seconds <= QUICK:
            times = 4 if seconds <= QUICK / 4 else 2
            self.messages = min(self.messages * times, self.limits.messages)
            self.octets = min(self.octets * times, self.limits.octets)
        elif seconds > SLOW:
            share = max(AIM / seconds, 1 / STEEPEST)
            self.messages = min(max(int(self.messages * share), LEAST_MESSAGES), self.limits.messages)
            self.octets = min(max(int(self.octets * share), LEAST_OCTETS), self.limits.octets)
