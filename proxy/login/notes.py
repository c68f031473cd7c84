"""Who logged in when, written down for `status`.

A write of the accounts database is a barrier of its own, and a client that looks for mail every few seconds is no
news each time. The first login after a quiet moment is written at once, those after it together, a moment later;
`flush` writes what is left before the process ends. A login whose note is lost in a crash was still a login.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstore.accounts import Account, Accounts
from mailstore.errors import MailstoreError
from proxy.login.outcomes import Log
from proxy.migration.pull import InThread

TOGETHER_SECONDS: Final = 2.0


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

    def note(self, account: Account) -> Deferred[None]:
        """The account's user has logged in just now. Fires when it is written, or will be with others."""
        self._new[account.id] = account.name
        wait = self._quiet_from - self._clock.seconds()
        if wait <= 0:
            return self.flush()
        if self._timer is None:
            self._timer = self._clock.callLater(wait, self.flush)
        return succeed(None)

    def flush(self) -> Deferred[None]:
        """Write what is not written yet; fires when it is, or could not be: a full disk keeps nobody from mail."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        if not self._new:
            return succeed(None)
        written, self._new = self._new, {}
        self._quiet_from = self._clock.seconds() + self._together

        return Deferred.fromCoroutine(self._write(written))

    async def _write(self, logins: dict[int, str]) -> None:
        try:
            await self._in_thread(self._accounts.logged_in, *logins)
        except MailstoreError as error:
            for name in logins.values():
                self._log.error("login not noted", account=name, reason=str(error))
