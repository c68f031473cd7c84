"""Places that are taken and left, few for many.

Twisted's own semaphore calls who is next from within the call of who leaves: where what they do takes no time, a
hundred of them reach the depth at which Python gives up, and the place is lost. Here one is called after another.
"""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred, succeed


class Places:
    """First come, first served."""

    def __init__(self, most: int = 1) -> None:
        self._most = self._free = most
        self._waiting: deque[Deferred[None]] = deque()
        self._passing_on = False

    @property
    def unused(self) -> bool:
        """Is nobody there, and does nobody wait?"""
        return self._free == self._most and not self._waiting

    def take(self) -> Deferred[None]:
        """Fires when there is a place, which the caller then has to leave. Who cancels it no longer waits for one."""
        if self._free and not self._waiting:
            self._free -= 1
            return succeed(None)
        turn: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(turn)
        return turn

    def leave(self) -> None:
        self._free += 1
        if self._passing_on:
            return
        self._passing_on = True
        try:
            while self._waiting and self._free:
                self._free -= 1
                self._waiting.popleft().callback(None)
        finally:
            self._passing_on = False
