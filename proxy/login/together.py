"""Barriers taken for several who want one at about the same time.

What comes while as many barriers are under way as may be is in the next one. (`proxy.login.payments` is the same for
the logs of databases, with what `mailstore.barrier` wants to know of them.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from proxy.wire.in_thread import InThread

T = TypeVar("T")

AT_ONCE: Final = 2  # barriers under way: while one waits for the disk the next can be on its way there


class Together(Generic[T]):
    """`barrier` brings things to stable storage, in a thread."""

    def __init__(self, in_thread: InThread, barrier: Callable[[Sequence[T]], None]) -> None:
        self._in_thread = in_thread
        self._barrier = barrier
        self._waiting: list[tuple[Collection[T], Deferred[None]]] = []
        self._under_way = 0

    def sync(self, things: Collection[T]) -> Deferred[None]:
        """Fires when they are on stable storage. Fails with what the barrier raises: then so do all that were in it."""
        done: Deferred[None] = Deferred()
        self._waiting.append((things, done))
        if self._under_way < AT_ONCE:
            self._next()
        return done

    def _next(self) -> None:
        together, self._waiting = self._waiting, []
        self._under_way += 1
        different = list(dict.fromkeys(thing for things, _ in together for thing in things))
        self._in_thread(self._barrier, different).addBoth(self._ended, [done for _, done in together])

    def _ended(self, result: Failure | None, together: Sequence[Deferred[None]]) -> None:
        self._under_way -= 1
        if self._waiting:
            self._next()
        for done in together:
            if isinstance(result, Failure):
                done.errback(result)
            else:
                done.callback(None)
