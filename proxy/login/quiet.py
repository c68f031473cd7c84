"""What is done with an account's home while nobody asks it for anything.

Sessions idle most of the time. A home that has been quiet for a moment has the texts of its messages entered into the
index, so that its user's first search does not have to wait for that; one that has been quiet for longer gives up its
database for the time being, which is most of the memory that it costs. It wakes by itself, when it is asked for
something. One home at a time is worked on, and none while the machine has enough to do.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from mailstore.errors import MailstoreError
from mailstore.mailhome import MailHome
from proxy.wire.faults import kind, where

TICK: Final = 1.0  # seconds
INDEXED_AFTER: Final = 3  # ticks without a question
RESTS_AFTER: Final = 10
AT_ONCE: Final = 100  # homes that begin to rest in one tick
SLICE: Final = 0.2  # seconds of indexing, in a thread
PAUSE: Final = 0.1  # … until the next


class Quiet(Protocol):
    """An open home, as far as it matters here."""

    account: str
    ticks: int  # since the last question
    resting: bool
    searched: bool  # has it sessions that may search?
    indexed: bool  # since the last question, all texts are in the index

    @property
    def free(self) -> bool:
        """Is no operation under way?"""

    def run(self, operation: Callable[[MailHome], Any]) -> Deferred[Any]:
        """Run an operation in a thread, in the account's turn."""


def usual_load() -> bool:
    """Has the machine fewer to run than it has cores?"""
    return os.getloadavg()[0] < (os.cpu_count() or 1)


class QuietTimes:
    """Looks at the open homes every second, as long as there are any."""

    def __init__(
        self,
        clock: IReactorTime,
        homes: Callable[[], Iterable[Quiet]],
        report: Callable[..., None],
        idle: Callable[[], bool] = usual_load,
    ) -> None:
        """`idle`: may work be done that nobody waits for?"""
        self._clock = clock
        self._homes = homes
        self._report = report
        self._idle = idle
        self._next: IDelayedCall | None = None
        self._slice: IDelayedCall | None = None
        self._indexing: Quiet | None = None
        self._stopped = False

    def begin(self) -> None:
        """There is an open home. Harmless to call again."""
        if self._next is None and not self._stopped:
            self._next = self._clock.callLater(TICK, self._tick)

    def stop(self) -> None:
        self._stopped = True
        for call in (self._next, self._slice):
            if call is not None and call.active():
                call.cancel()
        self._next = self._slice = self._indexing = None

    def _tick(self) -> None:
        self._next = None
        some, homes = AT_ONCE, list(self._homes())
        for home in homes:
            home.ticks += 1
            if home.ticks < INDEXED_AFTER or home is self._indexing or not home.free:
                continue
            if home.searched and not home.indexed and self._indexing is None and self._idle():
                self._indexing = home
                self._index(home)
            elif home.ticks >= RESTS_AFTER and some and not home.resting:
                some -= 1
                home.resting = True
                home.run(MailHome.rest).addErrback(self._failed, home)
        if homes:
            self.begin()

    def _index(self, home: Quiet) -> None:
        self._slice = None
        home.run(lambda mail: mail.kept.index_more(SLICE)).addCallbacks(
            self._indexed, self._failed, callbackArgs=(home,), errbackArgs=(home,)
        )

    def _indexed(self, more: bool, home: Quiet) -> None:
        home.indexed = not more
        if self._stopped or not more or home.ticks < INDEXED_AFTER or not self._idle():
            self._indexing = None
        else:
            self._slice = self._clock.callLater(PAUSE, self._index, home)

    def _failed(self, failure: Failure, home: Quiet) -> None:
        """Nobody waits for it."""
        home.indexed = True
        if self._indexing is home:
            self._indexing = None
        if isinstance(failure.value, MailstoreError):
            self._report("home cannot be seen to", account=home.account, reason=failure.getErrorMessage())
        else:
            self._report("home cannot be seen to", account=home.account, error=kind(failure), where=where(failure))
