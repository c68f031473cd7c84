"""Who may ask a legacy server, and when: so many connections at once (`connections` in the configuration), and one
at a time for each account.

First come, first served. Who gives up waiting loses the place, and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, DeferredLock

from proxy.migration.shared import Shared

K = TypeVar("K")
T = TypeVar("T")


class Slots:
    """The connections to one legacy server."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: deque[Deferred[Callable[[], None]]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def acquire(self) -> Deferred[Callable[[], None]]:
        """A Deferred of what gives the connection back; calling it twice does no harm."""
        deferred: Deferred[Callable[[], None]] = Deferred(self._waiting.remove)
        if self._free:
            self._free -= 1
            deferred.callback(self._release_once())
        else:
            self._waiting.append(deferred)
        return deferred

    def _release_once(self) -> Callable[[], None]:
        held = True

        def release() -> None:
            nonlocal held
            if not held:
                return
            held = False
            if self._waiting:
                self._waiting.popleft().callback(self._release_once())
            else:
                self._free += 1

        return release


class Turns(Generic[K]):
    """Work that is done for one key at a time. Nothing is kept of a key that nobody works for."""

    def __init__(self) -> None:
        self._locks: dict[K, tuple[DeferredLock, int]] = {}

    async def take(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work when those who came before are done.

        Who is cancelled before the turn comes loses it. Once begun, the work goes on without whom it was begun for.
        """
        lock, users = self._locks.get(key, (DeferredLock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            await lock.acquire()
        except BaseException:
            self._leave(key)
            raise
        return await Shared(Deferred.fromCoroutine(self._do(key, lock, work))).wait()

    async def _do(self, key: K, lock: DeferredLock, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        finally:
            self._leave(key)
            lock.release()

    def _leave(self, key: K) -> None:
        lock, users = self._locks.pop(key)
        if users > 1:
            self._locks[key] = (lock, users - 1)
