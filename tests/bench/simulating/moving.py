"""What stands for a mailbox and a move where no mail is to be written: they take the time that they take.

A `Moved` is asked for and stopped as a `proxy.migration.move.Move` is, waits as that does for its next connection
(`proxy.migration.pauses`), and goes on where it was. Everything around it is the product's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from mailstore.entries import Sums
from proxy.migration.pauses import Pauses
from proxy.migration.source import SourceLost, Stopped


class Home:
    """A `proxy.wire.door.Home` that nobody looks into."""

    def __init__(self, account: str) -> None:
        self.account = account

    async def run(self, _operation: Callable[[Any], Any]) -> Any:
        return []

    run_briefly = run

    def close(self) -> None: ...

    attend = watch = lock_maildrop = close


class Homes:
    async def open(self, _account_id: int, account: str, _maildir: object) -> Home:
        return Home(account)

    def ask_anew(self, account: str | None) -> None:
        """Nobody waits for single messages."""


class Moved:
    """Stands for a `Move`."""

    def __init__(
        self, home: Home, source: Any, reopen: Any, terms: Any, *, clock: Any, told: Any, **_about: Any
    ) -> None:
        self.troubles: list[str] = []
        self.remarks: tuple[str, ...] = ()
        self.listed = False
        self.when_listed: Callable[[str], None] = lambda _why_not: None
        self.sums: Sums | None = None
        self._source, self._reopen, self._clock, self._told = source, reopen, clock, told
        self._first = terms.first
        self._stopped: Stopped | None = None
        self._waiting: Deferred[Any] | None = None
        self.stored = 0

    def stop(self, why: Stopped | None = None) -> None:
        if self._stopped is None:
            self._stopped = why or Stopped("the daemon is stopping")
            if self._source is not None:
                self._source.abort()
            if self._waiting is not None:
                self._waiting.cancel()

    async def run(self) -> Sums:
        pauses = Pauses()
        while True:
            try:
                return await self._attempt()
            except SourceLost as error:
                if self._source is not None:
                    self._source.abort()
                    self._source = None
                if self._stopped is not None:
                    raise self._stopped from None
                self.troubles.append(str(error))
                seconds = pauses.after(error, self.stored)
                if seconds is None:
                    raise
                await self._until_stopped(deferLater(self._clock, seconds))

    async def _until_stopped(self, waiting: Deferred[Any]) -> Any:
        self._waiting = waiting
        try:
            return await waiting
        except CancelledError as error:
            raise self._stopped or SourceLost("the daemon is stopping") from error
        finally:
            self._waiting = None

    async def _attempt(self) -> Sums:
        if self._source is None:
            self._source = await self._until_stopped(Deferred.fromCoroutine(self._reopen()))
        if self._stopped is not None:
            raise self._stopped
        source = self._source
        messages, octets = await source.list()
        taken = source.taken
        if not self._first:
            messages = max(messages, taken()) + source.arrived
        each = max(1, octets // messages)

        def tell() -> None:
            done = taken()
            self.sums = Sums(done, messages, done * each, messages * each, 0)
            self._told(self.sums)

        def took(some: int) -> None:
            self.stored += some
            tell()

        tell()
        await source.fetch(messages - taken(), (messages - taken()) * each, took)
        await source.close(first=self._first)
        self._source = None
        assert self.sums is not None
        return self.sums
