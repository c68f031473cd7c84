"""What a transport tells of its client's reading: stop for now, go on. A client that does not read at all for some
time is given up (invariant 10). Used by the connections of `proxy.pop3` and `proxy.imap`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

# Octets handed to the transport at a time: with what TLS puts around them no more than the 64 KiB that Twisted's takes
# before it says stop.
PIECE: Final = 64 * 1024 - 256


@implementer(IPushProducer)
class Outflow:
    """To be registered as the transport's producer. `give_up` is called after `patience` seconds without a read."""

    def __init__(self, clock: IReactorTime, patience: float, give_up: Callable[[], None]) -> None:
        self.blocked = False  # does the transport want no more for now?
        self.gone = False
        self._clock = clock
        self._patience = patience
        self._give_up = give_up
        self._timer: IDelayedCall | None = None
        self._waiting: list[Deferred[None]] = []

    def pauseProducing(self) -> None:
        self.blocked = True
        if self._timer is None and not self.gone:
            self._timer = self._clock.callLater(self._patience, self._stalled)

    def resumeProducing(self) -> None:
        self.blocked = False
        self._release()

    def stopProducing(self) -> None:
        """The connection is gone. Idempotent."""
        self.gone = True
        self._release()

    async def flows(self) -> bool:
        """Wait until the transport takes more; False when it never will, since the connection is gone."""
        while self.blocked and not self.gone:
            waiting: Deferred[None] = Deferred()
            self._waiting.append(waiting)
            await waiting
        return not self.gone

    def _stalled(self) -> None:
        self._timer = None
        self._give_up()

    def _release(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
