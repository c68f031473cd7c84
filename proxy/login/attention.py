"""Folders that a session idles in or is to be told of: what other programs do to their directories is noticed at once.

One `Attention` an account that is open here. However many sessions attend to a folder, its directories are watched
once; events that come close together cost one look, and a folder that is slow to look through is looked at less
often, so that a program that works through a large folder does not keep the account's other operations waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from mailstore.errors import MailstoreError
from mailstore.index.special import ACCOUNT
from mailstore.mailhome import MailHome
from proxy.wire.faults import kind, where

SOON: Final = 0.05  # seconds from an event to the look: a delivery is more than one event
REST: Final = 4  # times as long as a look took, until the next

Run = Callable[[Callable[[MailHome], Any]], Deferred[Any]]


class Watcher(Protocol):
    """Tells of changes in directories."""

    @property
    def clock(self) -> IReactorTime:
        """The reactor that it works with."""

    def watch(self, directories: Sequence[Path], changed: Callable[[], None]) -> Callable[[], None]:
        """Have `changed()` called in the reactor's thread when names in the directories came, went or changed, now
        and then also when not. Gives back what ends it."""


class Attention:
    """One account's attended folders."""

    def __init__(self, watcher: Watcher, run: Run, report: Callable[..., None]) -> None:
        """`run` runs an operation of the store in the account's turn; it does nothing once the home is closed."""
        self._watcher = watcher
        self._run = run
        self._report = report
        self._attended: dict[int, _Attended] = {}

    def attend(self, folder_id: int) -> Callable[[], None]:
        """A folder, or with `special.ACCOUNT` which folders there are. Gives back what ends it; harmless to call
        twice."""
        attended = self._attended.get(folder_id)
        if attended is None:
            attended = self._attended[folder_id] = _Attended(self._watcher, self._run, self._report, folder_id)
        attended.sessions += 1
        ended = False

        def end() -> None:
            nonlocal ended
            if ended:
                return
            ended = True
            attended.sessions -= 1
            if attended.sessions == 0:
                attended.end()
                if self._attended.get(folder_id) is attended:
                    del self._attended[folder_id]

        return end


class _Attended:
    """A folder from the first session that idles in it to the last."""

    def __init__(self, watcher: Watcher, run: Run, report: Callable[..., None], folder_id: int) -> None:
        self.sessions = 0
        self._watcher = watcher
        self._run = run
        self._report = report
        self._folder_id = folder_id
        self._unwatch: Callable[[], None] | None = None
        self._ended = False
        self._due: Any = None  # the delayed call of the next look
        self._looking = False
        self._again = False
        self._rested = 0.0  # from when on the next look may be
        run(lambda home: home.directories(folder_id)).addCallbacks(self._watch, self._failed)

    def end(self) -> None:
        self._ended = True
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _watch(self, directories: Sequence[Path] | None) -> None:
        """First the watch, then a look: what happens in between is seen by one of them."""
        if directories is not None and not self._ended:
            self._unwatch = self._watcher.watch(directories, self._changed)
            self._look()

    def _changed(self) -> None:
        if self._ended:
            return
        if self._looking:
            self._again = True
        elif self._due is None:
            now = self._watcher.clock.seconds()
            self._due = self._watcher.clock.callLater(max(SOON, self._rested - now), self._look)

    def _look(self) -> None:
        self._due = None
        self._looking = True
        self._again = False
        begun = self._watcher.clock.seconds()
        looked = self._run(self._reconcile)
        looked.addErrback(self._failed).addCallback(self._looked, begun)

    def _reconcile(self, home: MailHome) -> bool:
        return home.reconcile_folders() if self._folder_id == ACCOUNT else home.reconcile(self._folder_id)

    def _looked(self, _found: Any, begun: float) -> None:
        now = self._watcher.clock.seconds()
        self._looking = False
        self._rested = now + REST * (now - begun)
        if self._again:
            self._changed()

    def _failed(self, failure: Failure) -> None:
        """The sessions are told when they ask the store themselves."""
        if isinstance(failure.value, MailstoreError):
            self._report("folder cannot be watched", reason=failure.getErrorMessage())
        else:
            self._report("folder cannot be watched", error=kind(failure), where=where(failure))
