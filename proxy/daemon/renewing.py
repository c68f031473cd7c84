"""A renewed certificate is shown without a restart: its files are looked at every few seconds, and on SIGHUP.

A pair that is half written, unreadable, not valid now or not of one piece changes nothing: the old one stays, the log
says why, once, and the files are tried again until they are right.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.task import LoopingCall

from proxy.config.model import Tls
from proxy.daemon.tls import Pair, Stamp, read_pair, stamp_of

LOOK_SECONDS: Final = 3.0  # files are taken when two looks found the same: certificate and key are written one by one


def _now() -> datetime:
    return datetime.now(UTC)


class Renewing:
    """Of one pair of files."""

    def __init__(
        self,
        tls: Tls,
        pair: Pair,
        renewed: Callable[[Pair], None],
        *,
        in_thread: Callable[..., Deferred[Any]],
        reactor: Any,
        log: Any,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """`pair` is shown already; `renewed` is called with each that takes its place, and has been checked."""
        self._tls = tls
        self._pair = pair
        self._renewed = renewed
        self._in_thread = in_thread
        self._log = log
        self._now = now
        self._taken = self._seen = pair.stamp
        self._refused: tuple[Stamp, str] | None = None  # what the log has said already
        self._one_by_one = DeferredLock()
        self._looking = LoopingCall(lambda: Deferred.fromCoroutine(self._look()))
        self._looking.clock = reactor

    def start(self) -> None:
        self._looking.start(LOOK_SECONDS, now=False)

    async def stop(self) -> None:
        """Returns when no look is under way."""
        if self._looking.running:
            self._looking.stop()
        await self._one_by_one.acquire()

    async def at_once(self) -> None:
        """Read the files, changed or not, and say again what is wrong with them."""
        async with self._one_by_one:
            self._refused = None
            await self._take(await self._in_thread(stamp_of, self._tls))

    async def _look(self) -> None:
        async with self._one_by_one:
            stamp = await self._in_thread(stamp_of, self._tls)
            settled, self._seen = stamp == self._seen, stamp
            if settled and stamp != self._taken:
                await self._take(stamp)

    async def _take(self, stamp: Stamp) -> None:
        try:
            pair = await self._in_thread(self._checked)
        except ValueError as error:
            if self._refused != (stamp, str(error)):
                self._refused = stamp, str(error)
                self._log.error(
                    "certificate not renewed", reason=str(error), shown_until=f"{self._pair.until():%Y-%m-%d}"
                )
            return
        self._taken, self._refused = pair.stamp, None
        if (pair.certificate, pair.key) == (self._pair.certificate, self._pair.key):
            return
        self._pair = pair
        self._renewed(pair)
        self._log.info("certificate renewed", file=str(pair.names[0]), until=f"{pair.until():%Y-%m-%d}")

    def _checked(self) -> Pair:
        pair = read_pair(self._tls)
        assert pair is not None
        pair.context()
        pair.check_time(self._now())
        return pair
