"""A result that several wait for, each of whom may leave without disturbing the others."""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


class Shared(Generic[T]):
    """Give it the Deferred of work that goes on whoever waits; `wait` as often as you like."""

    def __init__(self, work: Deferred[T]) -> None:
        self._waiting: list[Deferred[T]] = []
        self._result: T | Failure | None = None
        self.finished = False
        work.addBoth(self._finish)

    def _finish(self, result: T | Failure) -> None:
        self._result = result
        self.finished = True
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(result)

    def wait(self) -> Deferred[T]:
        """A Deferred of the result; cancelling it ends this wait alone."""
        deferred: Deferred[T] = Deferred(self._leave)
        if self.finished:
            deferred.callback(self._result)  # type: ignore[arg-type]
        else:
            self._waiting.append(deferred)
        return deferred

    def _leave(self, deferred: Deferred[T]) -> None:
        self._waiting.remove(deferred)
        deferred.errback(CancelledError())
