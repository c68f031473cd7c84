"""Sessions that need messages which are listed and not here yet: each waits for what it needs, and for no more.

An operation of the store that needs such messages changes nothing and says so (`NotArrived`). Whoever runs the move is
asked to fetch them next; the operation is run again after each change to INBOX, until it has all that it needs. It
waits in vain where nothing of what it needs has come for PATIENCE seconds, and for as long as it would take on a slow
line; or where the move says that the legacy server cannot be asked. Then it is run so that it does without
(`MailHome.without_waiting`). Where the move has left the account to another node, all is asked for anew.

One `Awaiting` for each account that is open in this process. Used by `proxy.login.homes` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mailstore.errors import NotArrived

PATIENCE: Final = 45.0  # seconds: mail clients wait for an answer for a minute at least

SLOW: Final = 256 * 1024  # octets a second of a slow line
MOST: Final = 600.0  # seconds that nothing may come, however much it is

Hurry = Callable[[Collection[int], bool], None]  # the UIDs, and whether their headers are not enough


class Awaiting:
    """Who waits for an account's messages in this process."""

    def __init__(self, hurry: Hurry, clock: IReactorTime | None) -> None:
        """Without a clock, who waits does so until something happens."""
        self.changes = 0  # to INBOX, so far
        self.vain = 0  # how often it was said that nothing comes
        self.anew = 0  # … and that who was asked has left it to others
        self._hurry = hurry
        self._clock = clock
        self._waiting: list[Deferred[bool]] = []

    def changed(self) -> None:
        """INBOX has changed: perhaps something has come."""
        self.changes += 1
        self._wake(True)

    def in_vain(self) -> None:
        """Nothing comes at the moment."""
        self.vain += 1
        self._wake(False)

    def ask_anew(self) -> None:
        """Who was to fetch them does so no more, and somebody else may."""
        self.anew += 1
        self._wake(True)

    @property
    def waits(self) -> bool:
        """Does anybody?"""
        return bool(self._waiting)

    def _wake(self, again: bool) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(again)

    def hurry(self, uids: Collection[int], *, whole: bool) -> None:
        """Ask for these to come next."""
        self._hurry(uids, whole)

    @property
    def now(self) -> float:
        return 0.0 if self._clock is None else self._clock.seconds()

    async def woken(self, until: float) -> bool:
        """Wait for a change to INBOX. False where nothing comes, or has not come by `until`."""
        woken: Deferred[bool] = Deferred()
        self._waiting.append(woken)
        timer = None if self._clock is None else self._clock.callLater(max(0.0, until - self.now), self._late, woken)
        try:
            return await woken
        finally:
            if timer is not None and timer.active():
                timer.cancel()

    def _late(self, woken: Deferred[bool]) -> None:
        self._waiting.remove(woken)
        woken.callback(False)


class Wait:
    """One operation's wait."""

    def __init__(self, awaiting: Awaiting) -> None:
        self._awaiting = awaiting
        self._asked: set[tuple[int, bool]] = set()
        self._missing = 0  # messages at the last look
        self._anew = awaiting.anew
        self._vain = awaiting.vain  # as it was when something was last asked for
        self._until = 0.0

    async def over(self, missing: NotArrived, seen: int) -> bool:
        """Wait until the operation may be run again, which needs what is `missing`; False: in vain. `seen`: how many
        changes there had been when it was begun."""
        awaiting = self._awaiting
        if awaiting.anew != self._anew:
            self._anew = awaiting.anew
            self._asked.clear()
        new = {uid for uid in missing.uids if (uid, missing.whole) not in self._asked}
        if new:
            self._vain = awaiting.vain
        elif awaiting.vain != self._vain:  # it was said while the operation was run, and will not be said again
            return False
        if new or len(missing.uids) < self._missing:
            self._until = awaiting.now + min(PATIENCE + missing.octets / SLOW, MOST)
        self._missing = len(missing.uids)
        self._asked.update((uid, missing.whole) for uid in new)
        if awaiting.changes != seen:  # it may have come while the operation looked
            if new:
                awaiting.hurry(new, whole=missing.whole)
            return True
        waiting = Deferred.fromCoroutine(awaiting.woken(self._until))
        if new:
            awaiting.hurry(new, whole=missing.whole)
        return await waiting
