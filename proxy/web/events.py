"""Server-sent events: a page that is told what is new, until its visitor leaves (WHATWG HTML 9.2).

An answer of this kind holds its connection. There are only so many, in all and for one address; who gets none is told
to come back, and their page, which also works without, refreshes itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from mailstore.errors import MailstoreError
from proxy.web.visit import Refused, Visit
from proxy.wire.arrivals import Arrivals

EACH: Final = 500  # from one address: an office
ALL: Final = 4_000
LONGEST: Final = 3600.0  # seconds; then the browser asks again by itself
RETRY: Final = 3000  # milliseconds until it does


class Events:
    """All streams of a daemon."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._arrivals = Arrivals(EACH, ALL)
        self._open: set[Deferred[Any]] = set()

    async def send(self, visit: Visit, news: AsyncIterator[tuple[str, str]]) -> bytes:
        """Send each event (its name, and its data, which may have several lines) as it comes, to the end of `news`.
        A store that fails in between ends it; the browser asks again. Raises Refused."""
        if visit.request.method == b"HEAD":
            return b""
        leave = self._arrivals.admit(visit.visitor.address)
        if leave is None:
            raise Refused(503, "error.busy")
        request = visit.request
        request.setHeader("Content-Type", "text/event-stream; charset=utf-8")
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Accel-Buffering", "no")  # nginx would hold it back
        request.write(b"retry: %d\n\n" % RETRY)
        sending = Deferred.fromCoroutine(self._send(request, news, self._clock.seconds() + LONGEST))
        self._open.add(sending)
        try:
            await sending
        except CancelledError:
            pass  # the visitor has left, or the daemon stops
        except MailstoreError as error:
            visit.web.log.error("store failed", reason=str(error), page="events")  # noqa: TRY400 - a line, no traceback
        finally:
            self._open.discard(sending)
            leave()
        return b""

    async def _send(self, request: Any, news: AsyncIterator[tuple[str, str]], until: float) -> None:
        async for name, data in news:
            lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
            request.write(f"event: {name}\n{lines}\n".encode())
            if self._clock.seconds() > until:
                return

    async def pause(self, seconds: float) -> None:
        """Between two looks."""
        await deferLater(self._clock, seconds)

    def end(self) -> None:
        """The daemon stops."""
        for sending in list(self._open):
            sending.cancel()
