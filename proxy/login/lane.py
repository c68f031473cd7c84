"""The operations of one account's store, one at a time and in order; who stops waiting for one does not stop it.

Used by `proxy.login.homes` alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from proxy.wire.in_thread import InThread

T = TypeVar("T")


class Lane:
    """Operations of one account, one at a time and in order."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._queue: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()
        self._busy = False

    def run(self, operation: Callable[[], T]) -> Deferred[T]:
        result: Deferred[T] = Deferred()
        self._queue.append((operation, result))
        if not self._busy:
            self._next()
        return result

    @property
    def free(self) -> bool:
        return not self._busy

    def hold(self, until: Deferred[None]) -> Deferred[None]:
        """Keep the operations that come waiting; the lane must be free. Gives back what fires as `until` does."""
        self._busy = True
        result: Deferred[None] = Deferred()
        until.addBoth(self._done, result)
        return result

    def _next(self) -> None:
        while self._queue:
            operation, result = self._queue.popleft()
            if result.called:  # cancelled before its turn
                continue
            self._busy = True
            self._in_thread(operation).addBoth(self._done, result)
            return
        self._busy = False

    def _done(self, value: Any, result: Deferred[Any]) -> None:
        self._next()
        if isinstance(value, Failure):
            result.errback(value)
        else:
            result.callback(value)
