"""The moves that are under way in this process: one at most for each account, joined by whoever logs in meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstore.entries import Sums
from mailstore.errors import LeaseLost, MailstoreError
from proxy.migration.move import Move
from proxy.migration.shared import Shared
from proxy.migration.source import SourceError, TakenOver
from proxy.wire import trace
from proxy.wire.door import Hold

T = TypeVar("T")

Told = Callable[[Sums], None]
Concluded = Callable[[Sums | Exception], Awaitable[None]]


class Running:
    """A move under way, and those who wait for it."""

    def __init__(self, make: Callable[[Told], Move], concluded: Concluded) -> None:
        """`make` is given what the move shall tell of each step; `concluded` writes down how it ended, before any
        who wait hear of it."""
        self.trace = trace.current()
        self._holds: list[Hold] = []
        self._concluded = concluded
        self.move = make(self._told)
        opening: Deferred[None] = Deferred()
        self._opened: Shared[None] = Shared(opening)
        self.move.when_listed = self._is_listed
        self._opening = opening
        self._listeners: list[Callable[[str], None]] = []
        self._said: str | None = None  # why the user cannot be let in yet, "" if that is so, None: not known
        self.result: Shared[Sums] = Shared(Deferred.fromCoroutine(self._run()))

        def ended(result: Sums | Failure) -> None:
            if not opening.called:
                opening.callback(result if isinstance(result, Failure) else None)

        self.result.wait().addBoth(ended)

    async def _run(self) -> Sums:
        try:
            return await self._ran()
        except LeaseLost as error:  # even what came of it could not be written down
            raise TakenOver(str(error)) from error

    async def _ran(self) -> Sums:
        try:
            sums = await self.move.run()
        except LeaseLost as error:
            taken_over = TakenOver(str(error))
            await self._concluded(taken_over)
            raise taken_over from error
        except (SourceError, MailstoreError) as error:
            await self._concluded(error)
            raise
        await self._concluded(sums)
        return sums

    @property
    def awaited(self) -> bool:
        """Is a login held for it?"""
        return bool(self._holds)

    def _is_listed(self, why_not: str) -> None:
        self._said = why_not
        for listener in self._listeners:
            listener(why_not)
        if not why_not:
            self._opening.callback(None)

    def when_listed(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called when the user may be let in before all is here ("" is why not), or cannot be."""
        self._listeners.append(listener)
        if self._said is not None:
            listener(self._said)

    def _told(self, sums: Sums) -> None:
        for hold in self._holds:
            _show(sums, hold)

    def join(self, hold: Hold) -> Deferred[Sums]:
        """Wait for the end; `hold` is kept up to date meanwhile. Cancelling ends the wait, not the move."""
        return self._joined(self.result, hold)

    def opened(self, hold: Hold) -> Deferred[None]:
        """The same until the user may be let in: when the whole mailbox is listed, if the move is of that kind, and at
        its end."""
        return self._joined(self._opened, hold)

    def _joined(self, result: Shared[T], hold: Hold) -> Deferred[T]:
        hold.accepted = True
        if self.move.sums is not None:
            _show(self.move.sums, hold)
        self._holds.append(hold)
        waiting = result.wait()

        def left(result: object) -> object:
            self._holds = [other for other in self._holds if other is not hold]  # equal ones are others' holds
            return result

        waiting.addBoth(left)
        return waiting


def _show(sums: Sums, hold: Hold) -> None:
    hold.done, hold.total = sums.messages_done, sums.messages_total


class Moves:
    """All of them, by account."""

    def __init__(self) -> None:
        self._running: dict[int, Running] = {}

    def of(self, account_id: int) -> Running | None:
        return self._running.get(account_id)

    def accounts(self) -> list[int]:
        """Those whose moves are under way."""
        return list(self._running)

    def start(self, account_id: int, make: Callable[[Told], Move], concluded: Concluded) -> Running:
        """Start a move for an account that has none under way."""
        assert account_id not in self._running
        running = Running(make, concluded)
        if not running.result.finished:
            self._running[account_id] = running

            def ended(_result: object) -> None:
                del self._running[account_id]

            running.result.wait().addBoth(ended)
        return running

    async def stop(self) -> None:
        """End all at their last barriers."""
        for running in list(self._running.values()):
            running.move.stop()
        for running in list(self._running.values()):
            waiting = running.result.wait()
            waiting.addErrback(lambda _failure: None)  # whoever started it has been told
            await waiting
