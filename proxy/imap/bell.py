"""Waiting for the next thing to happen, whatever it is, without missing one."""

from __future__ import annotations

from twisted.internet.defer import Deferred


class Bell:
    """Rung by any event; one coroutine waits for it. A ring while nobody waits is kept, and several count as one."""

    def __init__(self) -> None:
        self._rung = False
        self._waiter: Deferred[None] | None = None

    def ring(self) -> None:
        self._rung = True
        if self._waiter is not None:
            waiter, self._waiter = self._waiter, None
            waiter.callback(None)

    async def wait(self) -> None:
        """Until it rings, or at once when it has rung since the last wait."""
        if not self._rung:
            self._waiter = Deferred()
            await self._waiter
        self._rung = False
