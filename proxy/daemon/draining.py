"""A node is taken out of service so that nobody notices: `mailferry drain`, and its undoing.

    wished         health checks are told at once (`proxy.daemon.readiness`); everything is served as before, but no
                   move is begun that nobody has logged in for
    grace over     sessions that idle are told good-bye, a few at a time (`proxy.daemon.easing`); moves that nobody
                   waits for end at their last barriers, for another node to go on with
    … and within   what is still there is answered the command that it is at, and ended

Who connects all the same is served: a balancer sends nobody, and where it has nobody else to send them to, a login is
better than a refusal. All of it is taken back when the wish is. The wish is a file (`proxy.daemon.drain_file`), looked
at every second.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from proxy.daemon import drain_file
from proxy.daemon.drain_file import Wish, Word
from proxy.wire.faults import kind, where

LOOK_SECONDS: Final = 1.0


class Eased(Protocol):
    """Who has sessions: `proxy.daemon.serving`, or the crew of those who do."""

    @property
    def connections(self) -> int: ...

    def ease(self, within: float | None) -> None:
        """Have sessions end when it suits them, within so many seconds; None: not any more."""


class Moved(Protocol):
    """What makes moves: `proxy.daemon.moving`."""

    @property
    def running(self) -> int: ...

    def rest(self) -> None:
        """Begin nothing unasked."""

    def hand_on(self, *, all_: bool) -> None:
        """End what nobody waits for, or all, at its last barrier."""

    def go_on(self) -> None:
        """As before."""


class Draining:
    """One daemon's."""

    def __init__(
        self, state: Path, sessions: Eased, moves: Moved, *, ease_pages: Callable[[], None], clock: Any, log: Any
    ) -> None:
        """`ease_pages` closes connections of the web that idle."""
        self._state = state
        self._sessions = sessions
        self._moves = moves
        self._ease_pages = ease_pages
        self._clock = clock
        self._log = log
        self._wish: Wish | None = None
        self._began = 0.0
        self._easing = False
        self._drained = False
        self._looks = LoopingCall(self.look)
        self._looks.clock = clock

    @property
    def wished(self) -> bool:
        """As it is at this moment."""
        return drain_file.wished(self._state)

    def start(self) -> None:
        self._looks.start(LOOK_SECONDS).addErrback(self._failed)

    def stop(self) -> None:
        """The daemon ends, or another takes over. The wish stays."""
        if self._looks.running:
            self._looks.stop()
        drain_file.say(self._state, None)

    def look(self) -> None:
        """Do what there is to be done now."""
        try:
            wish = drain_file.wish_of(self._state)
        except OSError:
            wish = self._wish  # the disk will be back
        if wish is not None and wish != self._wish:  # also where it is asked for again, with other times
            self._began, self._easing, self._drained = self._clock.seconds(), False, False
            self._moves.rest()
            self._log.warning("draining", grace=wish.grace, within=wish.within)
        elif wish is None and self._wish is not None:
            self._undo()
        self._wish = wish
        if wish is not None:
            self._go_on(wish)

    def _go_on(self, wish: Wish) -> None:
        passed = self._clock.seconds() - self._began - wish.grace
        if passed >= 0:
            if not self._easing:
                self._easing = True
                self._sessions.ease(wish.within)
            self._moves.hand_on(all_=passed >= wish.within)
            self._ease_pages()
        word = Word(os.getpid(), self._sessions.connections, self._moves.running, self._easing)
        drain_file.say(self._state, word)
        if word.drained and not self._drained:
            self._drained = True
            self._log.warning("drained")

    def _undo(self) -> None:
        if self._easing:
            self._sessions.ease(None)
        self._moves.go_on()
        drain_file.say(self._state, None)
        self._log.warning("not drained any more")

    def _failed(self, failure: Failure) -> None:
        self._log.error("unexpected", error=kind(failure), where=where(failure))
