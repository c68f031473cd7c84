"""Work that is done for one account at a time, whoever wants it done.

First come, first served. Who gives up waiting loses the place, and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, DeferredLock

from proxy.migration.shared import Shared

K = TypeVar("K")
T = TypeVar("T")


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
