"""How moves end, written down: in the log, for the administrator, and in the account's state, with when to go on."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final, Protocol

from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.entries import Sums
from mailstore.errors import LeaseLost, MailstoreError
from mailstore.secrets import Sealer
from proxy.config import Config
from proxy.login import reasons
from proxy.login.progress import Progress, how_far
from proxy.login.recently import Recently
from proxy.migration.move import Move
from proxy.migration.quarantine import in_words
from proxy.migration.source import HandedOn, PasswordChanged, Stopped, TakenOver
from proxy.wire import trace
from proxy.wire.door import Home
from proxy.wire.in_thread import InThread
from proxy.wire.tally import MOVES, TROUBLES, Tally

FIRST_WAIT: Final = 60.0  # seconds after which a move that was interrupted is tried again, and twice as long each time
LONGEST_WAIT: Final = 3600.0


class Log(Protocol):
    """A structlog logger."""

    def info(self, event: str, **fields: Any) -> Any: ...

    def warning(self, event: str, **fields: Any) -> Any: ...

    def error(self, event: str, **fields: Any) -> Any: ...


OUTCOMES: Final = ("done", "quarantine", "stopped", "password", "store", "legacy")


def outcome_of(result: Sums | Exception) -> str:
    """How a move ended: one of OUTCOMES, for who counts."""
    match result:
        case Sums():
            return "done" if not result.quarantined else "quarantine"
        case Stopped():
            return "stopped"
        case PasswordChanged():
            return "password"
        case MailstoreError():
            return "store"
        case _:
            return "legacy"


class Outcomes:
    """Of all moves of this process."""

    def __init__(
        self,
        config: Config,
        accounts: Accounts,
        sealer: Sealer,
        *,
        in_thread: InThread,
        log: Log,
        failed: Callable[[int], None],
        rejected: Callable[[str, str], None],
        stopping: Callable[[], bool],
        recently: Recently,
        tally: Tally,
        hands_over: bool = False,
    ) -> None:
        """`failed` is told of each account whose move has failed, `rejected` of whose password is no longer taken, by
        name and hash. What the daemon's stop ended (`stopping`) goes on with its next start, and is not written
        down; or, where it `hands_over`, on another node at once."""
        self._hands_over = hands_over
        self._config = config
        self._accounts = accounts
        self._sealer = sealer
        self._in_thread = in_thread
        self._log = log
        self._failed = failed
        self._rejected = rejected
        self._stopping = stopping
        self._recently = recently
        self._tally = tally

    async def write_down(
        self,
        account: Account,
        result: Sums | Exception,
        move: Move,
        home: Home,
        progress: Progress,
        accounts: Accounts | None = None,
    ) -> None:
        """How a move ended: for the administrator, and in the account's state, by way of `accounts`, which may refuse
        it to a node that has lost the account. One warning a move, however often it met with trouble; what is to be
        said each time again is logged once. Raises MailstoreError."""
        accounts = accounts or self._accounts
        self._tally.count(MOVES, account.domain, outcome_of(result))
        if move.troubles:
            self._tally.count(TROUBLES, account.domain, by=len(move.troubles))
        try:
            if isinstance(result, Exception):
                await self._failure(account, result, move, progress, accounts)
            else:
                await self._success(account, result, move, home, progress, accounts)
        except LeaseLost:
            raise
        except MailstoreError as error:
            if not isinstance(result, MailstoreError):  # else it is the same disk, which was spoken of
                self._log.error("move not written down", account=account.name, reason=str(error))
            raise

    async def _failure(
        self, account: Account, error: Exception, move: Move, progress: Progress, accounts: Accounts
    ) -> None:
        reason = str(error)
        if isinstance(error, MailstoreError):
            maildir = self._config.maildir_for(account.local, account.domain)
            reason = reasons.of_the_store(error, progress.last, maildir)
        self._log.warning(
            "move interrupted",
            account=account.name,
            reason=reason,
            troubles=len(move.troubles),
            seconds=round(progress.seconds, 3),
        )
        if not (self._hands_over and isinstance(error, (HandedOn, TakenOver))):
            self._failed(account.id)  # else another node goes on, and who waits for mail of it goes on waiting
        self._note(account, progress.last, progress, whole=False, reason=reason)
        if isinstance(error, TakenOver) or (self._stopping() and not self._hands_over):
            return
        if progress.last is not None:
            await progress.write(progress.last)
        if isinstance(error, Stopped):
            await self._in_thread(accounts.gave_way, account.id)
        elif isinstance(error, PasswordChanged):
            await self.no_longer(account, reason)
        else:
            await self._in_thread(accounts.interrupted, account.id, reason, self.next_try(account), trace.current())

    async def _success(
        self, account: Account, sums: Sums, move: Move, home: Home, progress: Progress, accounts: Accounts
    ) -> None:
        remarks = [*move.remarks]
        if sums.quarantined:
            remarks.insert(0, await home.run(lambda home: in_words(home.ledger.quarantined())))
        reason = "; ".join(remarks)
        await self._in_thread(accounts.moved, account.id, reason, self.next_round(), how_far(sums), trace.current())
        news = [reason] if reason != account.reason else []
        told = "; ".join(filter(None, [*news, *move.troubles[-1:]]))
        if told:
            self._log.warning("moved with troubles", account=account.name, reason=told, troubles=len(move.troubles))
        self._note(account, sums, progress, whole=True, reason=reason)
        self._log.info(
            "move done",
            account=account.name,
            messages=sums.messages_done,
            octets=sums.bytes_done,
            quarantined=sums.quarantined,
            seconds=round(progress.seconds, 3),
        )

    def _note(self, account: Account, sums: Sums | None, progress: Progress, *, whole: bool, reason: str) -> None:
        self._recently.moved(
            account.name,
            seconds=progress.seconds,
            messages=max(0, sums.messages_done - account.messages_done) if sums else 0,
            octets=max(0, sums.bytes_done - account.bytes_done) if sums else 0,
            whole=whole,
            reason=reason,
        )

    async def no_longer(self, account: Account, reason: str) -> None:
        """The legacy server does not take the password that the account had: it is not sent there again by itself."""
        fresh = await self._in_thread(self._accounts.get, account.id)
        if not self._sealer.same(account.name, fresh.sealed_password, account.sealed_password):
            return  # another one has come up meanwhile
        await self._in_thread(self._accounts.password_rejected, account.id, reason, trace.current())
        if fresh.password_hash is not None and account.password_state is PasswordState.KNOWN:
            self._rejected(account.name, fresh.password_hash)

    def next_round(self) -> float | None:
        """Seconds until a mailbox that is here is looked after again; None: never. Spread, or all that began together
        would come together for ever."""
        every = self._config.migration.round
        return every * random.uniform(0.9, 1.1) if every else None  # noqa: S311 - no secret

    def next_try(self, account: Account) -> float | None:
        """Seconds until a move that did not work is tried again; None: not by itself."""
        if account.state is State.MOVED and account.asked is None:
            return self.next_round()
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(account.tries, 16))
        return wait * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
