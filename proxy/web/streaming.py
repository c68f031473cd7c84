"""An answer that is made as it is sent: a long list costs the memory of a piece of it, however slowly it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from proxy.wire.in_thread import InThread


@implementer(IPushProducer)
class _Flow:
    """Waits while the visitor has enough to read."""

    def __init__(self) -> None:
        self._paused = self.gone = False
        self._waiting: Deferred[None] | None = None

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._wake()

    def stopProducing(self) -> None:
        self.gone = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    async def room(self) -> None:
        if self._paused and not self.gone:
            self._waiting = Deferred()
            await self._waiting


async def stream(request: Any, in_thread: InThread, pieces: Iterator[str] | Iterator[bytes]) -> None:
    """Send each piece, made in a thread, when there is room for it. Returns when all are sent or the visitor has left;
    what `pieces` raises ends the connection in the middle, which a browser shows as a download that failed."""
    flow = _Flow()
    request.registerProducer(flow, True)
    try:
        while not flow.gone:
            piece = await in_thread(next, pieces, None)
            if piece is None:
                return
            await flow.room()
            if not flow.gone:
                request.write(piece.encode(errors="replace") if isinstance(piece, str) else piece)
    except BaseException:
        request.transport.abortConnection()
        raise
    finally:
        if not flow.gone:
            request.unregisterProducer()
