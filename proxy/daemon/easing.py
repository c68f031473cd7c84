"""Sessions are told good-bye when it suits them: those that idle, a few at a time, so that not all of a node's clients
connect to the others in the same second. One in each process that serves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, Protocol

from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from proxy.wire.faults import kind, where

LOOK_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 5.0  # without a word; a client in the middle of something says more before that
SPREAD_SECONDS: Final = 60.0  # … over which those that idle already are told good-bye


class Easy(Protocol):
    """A client's connection."""

    def quiet_for(self) -> float:
        """Seconds for which a client that is logged in has had no command under way, or only one that waits for news;
        0 for all others."""

    def leave(self) -> None:
        """Answer the command in progress, say good-bye, close."""


class Easing:
    """`connections` are those that there are at the moment."""

    def __init__(self, connections: Callable[[], Collection[Easy]], clock: Any, log: Any) -> None:
        self._connections = connections
        self._clock = clock
        self._log = log
        self._spread = self._until = 0.0
        self._looks = LoopingCall(self.look)
        self._looks.clock = clock

    def begin(self, within: float) -> None:
        """Nobody is left in so many seconds, but for a command that takes longer."""
        now = self._clock.seconds()
        self._until, self._spread = now + within, now + min(SPREAD_SECONDS, within / 2)
        if not self._looks.running:
            self._looks.start(LOOK_SECONDS).addErrback(self._failed)

    def end(self) -> None:
        """Nobody is told good-bye any more. Harmless where nobody was."""
        if self._looks.running:
            self._looks.stop()

    def look(self) -> None:
        now = self._clock.seconds()
        connections = self._connections()
        if now >= self._until:
            going: Collection[Easy] = list(connections)
        else:
            quiet = [each for each in connections if each.quiet_for() >= IDLE_SECONDS]
            turns = max(1, int((self._spread - now) / LOOK_SECONDS))
            going = quiet[: -(-len(quiet) // turns)]
        for each in going:
            each.leave()

    def _failed(self, failure: Failure) -> None:
        self._log.error("unexpected", error=kind(failure), where=where(failure))
