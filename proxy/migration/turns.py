"""Work that is done for one account at a time, whoever wants it done.

First come, first served. Who gives up waiting loses the place, and nothing else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

from proxy.migration.places import Places
from proxy.migration.shared import Shared

K = TypeVar("K")
T = TypeVar("T")


class Turns(Generic[K]):
    """Work that is done for one key at a time. Nothing is kept of a key that nobody works for."""

    def __init__(self) -> None:
        self._places: dict[K, Places] = {}

    async def take(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work when those who came before are done.

        Who is cancelled before the turn comes loses it. Once begun, the work goes on without whom it was begun for.
        """
        place = self._places.setdefault(key, Places())
        await place.take()
        return await Shared(Deferred.fromCoroutine(self._do(key, place, work))).wait()

    async def _do(self, key: K, place: Places, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        finally:
            place.leave()
            if place.unused and self._places.get(key) is place:
                del self._places[key]
