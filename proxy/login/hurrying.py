"""From a session that needs a message to the move that can bring it.

    a move is under way              it fetches the message next
    none is, the password is kept    one is started, unless the last one has failed a moment ago
    otherwise                        nothing comes: those who wait are told so

Sessions may be in other processes; here is where the moves are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from mailstore.accounts import Account, Accounts, State
from mailstore.errors import SecretUnreadable
from mailstore.secrets import Sealer
from proxy.login.mover import Log, Mover
from proxy.migration.move import Move
from proxy.migration.pull import InThread
from proxy.wire.door import Secret

AGAIN: Final = 10.0  # seconds after a failure in which nobody is waited for


class Hurrying:
    """All that sessions wait for in this installation."""

    def __init__(
        self,
        mover: Mover,
        accounts: Accounts,
        sealer: Sealer,
        in_vain: Callable[[int], None],
        *,
        reactor: Any,
        in_thread: InThread,
        log: Log,
    ) -> None:
        """`in_vain` is told of accounts of which nothing comes at the moment."""
        self._mover = mover
        self._accounts = accounts
        self._sealer = sealer
        self._in_vain = in_vain
        self._reactor = reactor
        self._in_thread = in_thread
        self._log = log
        self._failed: dict[int, float] = {}  # when, by account
        self._starting: dict[int, list[tuple[Collection[int], bool]]] = {}  # what is waited for until a move begins
        mover.failed = self._has_failed
        mover.begins = self._begins

    def hurry(self, account_id: int, uids: Collection[int], whole: bool) -> None:
        """A session waits for these messages of INBOX, or for their headers."""
        running = self._mover.moves.of(account_id)
        if running is not None:
            running.move.hurry(uids, whole=whole)
        elif account_id in self._starting:
            self._starting[account_id].append((uids, whole))
        elif self._reactor.seconds() - self._failed.get(account_id, float("-inf")) < AGAIN:
            self._in_vain(account_id)
        else:
            self._starting[account_id] = [(uids, whole)]
            self._mover.apart(self._start(account_id))

    async def _start(self, account_id: int) -> None:
        try:
            account = await self._in_thread(self._accounts.get, account_id)
            password = self._password(account)
        except BaseException:
            self._has_failed(account_id)
            raise
        if account.state is State.MOVING and password is not None:
            await self._mover.go_on(account, password)
        else:
            self._has_failed(account_id)

    def _password(self, account: Account) -> Secret | None:
        if account.sealed_password is None:
            return None
        try:
            return Secret(self._sealer.open(account.name, account.sealed_password))
        except SecretUnreadable as error:
            self._log.error("move not resumed", account=account.name, reason=str(error))
            return None

    def _begins(self, account_id: int, move: Move) -> None:
        self._failed.pop(account_id, None)
        for uids, whole in self._starting.pop(account_id, ()):
            move.hurry(uids, whole=whole)

    def _has_failed(self, account_id: int) -> None:
        """A move has ended before its end, or could not begin."""
        self._failed[account_id] = self._reactor.seconds()
        self._starting.pop(account_id, None)
        self._in_vain(account_id)
