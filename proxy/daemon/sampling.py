"""Writes down from time to time how far each domain is (`mailstore.samples`), wherever moves are made."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from mailstore.database import AccountsDatabase
from mailstore.errors import MailstoreError
from mailstore.samples import Samples
from proxy.login.asking import ask
from proxy.wire.faults import kind, where
from proxy.wire.in_thread import InThread

LOOK: Final = 15  # seconds between two looks whether something has changed; a row is written once a minute at most
THINNED_EVERY: Final = 1_440  # looks, which is six hours


class Sampling:
    """One process's. A disk that is full costs the curve some points, and nothing else."""

    def __init__(self, database: AccountsDatabase, clock: IReactorTime, in_thread: InThread, log: Any) -> None:
        self._database = database
        self._samples = Samples(database)
        self._clock = clock
        self._in_thread = in_thread
        self._log = log
        self._version = -1
        self._turn = 0
        self._timer: IDelayedCall | None = None
        self._stopped = False

    def start(self) -> None:
        """Look now, and then again and again."""
        if not self._stopped:
            self._timer = self._clock.callLater(LOOK, self.start)
            self._look().addErrback(self._failed)

    async def stop(self) -> None:
        """Take the last one."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            await self._look().addErrback(self._failed)

    def _look(self) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._take())

    async def _take(self) -> None:
        if self._turn % THINNED_EVERY == 0:
            await self._in_thread(self._samples.thin)
        self._turn += 1
        if (version := await ask(self._database, self._in_thread, self._database.version)) != self._version:
            self._version = version
            await self._in_thread(self._samples.take)

    def _failed(self, failure: Failure) -> None:
        if isinstance(failure.value, MailstoreError):
            self._log.warning("progress not written down", reason=failure.getErrorMessage())
        else:
            self._log.error("unexpected", error=kind(failure), where=where(failure))
