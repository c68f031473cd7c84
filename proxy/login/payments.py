"""Barriers that are owed, taken for several mailboxes at once: see `mailstore.barrier`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstore.barrier import Barriers, sync_logs
from proxy.wire.in_thread import InThread

AT_ONCE: Final = 2  # barriers under way: while one waits for the disk the next can be on its way there


class Payments:
    """What comes while as many barriers are under way as may be is in the next one, together."""

    def __init__(self, in_thread: InThread, barriers: Barriers, seconds: Callable[[], float]) -> None:
        self._in_thread = in_thread
        self._barriers = barriers
        self._seconds = seconds
        self._waiting: list[tuple[Path, Deferred[None]]] = []
        self._under_way = 0

    def pay(self, log: Path) -> Deferred[None]:
        """Fires when all that was written to the database's log until now is on stable storage. Fails with OSError."""
        paid: Deferred[None] = Deferred()
        self._waiting.append((log, paid))
        if self._under_way < AT_ONCE:
            self._next()
        return paid

    def _next(self) -> None:
        together, self._waiting = self._waiting, []
        self._under_way += 1
        paths = {path for path, _ in together}
        self._in_thread(self._timed, paths).addBoth(self._done, [paid for _, paid in together])

    def _timed(self, paths: set[Path]) -> float:
        begun = self._seconds()
        sync_logs(paths)
        return self._seconds() - begun

    def _done(self, result: float | Failure, together: list[Deferred[None]]) -> None:
        self._under_way -= 1
        if self._waiting:
            self._next()
        if isinstance(result, Failure):
            for paid in together:
                paid.errback(result)
            return
        self._barriers.took(result / len(together))
        for paid in together:
            paid.callback(None)
