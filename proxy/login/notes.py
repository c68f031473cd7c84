"""Who logged in when, written down for `status`.

A write of the accounts database is a barrier of its own, and a client that looks for mail every few seconds is no
news each time. The first login after a quiet moment is written at once, those after it together, a moment later;
`flush` writes what is left before the process ends. A login whose note is lost in a crash was still a login, and one
whose note waits for the database, which another program may hold, does not wait with it.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstore.accounts import Account, Accounts
from mailstore.errors import MailstoreError
from proxy.login.outcomes import Log
from proxy.migration.places import Places
from proxy.wire.in_thread import InThread

TOGETHER_SECONDS: Final = 2.0
PATIENCE: Final = 1.0  # seconds that a login waits until it is written down


class LoginNotes:
    """The notes of one process."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        clock: IReactorTime,
        in_thread: InThread,
        log: Log,
        together: float = TOGETHER_SECONDS,
    ) -> None:
        """`together`: seconds in which there is one write. With 0 each login is written at once."""
        self._accounts = accounts
        self._clock = clock
        self._in_thread = in_thread
        self._log = log
        self._together = together
        self._new: dict[int, str] = {}  # account's number to its name
        self._quiet_from = clock.seconds()
        self._timer: IDelayedCall | None = None
        self._writing = Places()  # one thread at most is kept waiting

    def note(self, account: Account) -> Deferred[None]:
        """The account's user has logged in just now. Fires when it is written, or will be, by itself or with others."""
        self._new[account.id] = account.name
        wait = self._quiet_from - self._clock.seconds()
        if wait <= 0 and self._writing.unused:
            return self._in_time(self.flush())
        if self._timer is None:
            self._timer = self._clock.callLater(max(0.0, wait), self.flush)
        return succeed(None)

    def _in_time(self, written: Deferred[None]) -> Deferred[None]:
        """Fires when that does, but after `PATIENCE` at the latest."""
        waited: Deferred[None] = Deferred(lambda _: late.cancel())  # the client has left
        late = self._clock.callLater(PATIENCE, waited.callback, None)

        def in_time(_result: None) -> None:
            if late.active():
                late.cancel()
                waited.callback(None)

        written.addCallback(in_time)
        return waited

    def flush(self) -> Deferred[None]:
        """Write what is not written yet; fires when it is, or could not be: a full disk keeps nobody from mail."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if not self._new:
            return succeed(None)
        return Deferred.fromCoroutine(self._write_in_turn())

    async def _write_in_turn(self) -> None:
        await self._writing.take()
        try:
            if self._new:  # else they were written with those before
                await self._write()
        finally:
            self._writing.leave()

    async def _write(self) -> None:
        logins, self._new = self._new, {}
        self._quiet_from = self._clock.seconds() + self._together
        try:
            await self._in_thread(self._accounts.logged_in, *logins)
        except MailstoreError as error:
            for name in logins.values():
                self._log.error("login not noted", account=name, reason=str(error))
