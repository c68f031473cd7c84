"""Starting moves, and writing down how they go: at a first login, for what arrived since, and after a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstore.accounts import Account, Accounts, State
from mailstore.errors import MailstoreError, SecretUnreadable
from mailstore.ledger import Sums
from mailstore.secrets import Sealer
from proxy.config import Config
from proxy.login.homes import Homes
from proxy.login.legacy import LegacyDoor, name_of
from proxy.login.names import Name
from proxy.migration.move import Move, Terms
from proxy.migration.moves import Moves, Running, Told
from proxy.migration.pull import InThread
from proxy.migration.schedule import Turns
from proxy.migration.source import Source, SourceError, SourceLost
from proxy.pop3.client.errors import LegacyError, LoginRejected
from proxy.wire.door import Home, Secret
from proxy.wire.faults import kind, where

PROGRESS_SECONDS = 2.0  # how often a move's progress is written down for `status`


class Log(Protocol):
    """A structlog logger."""

    def info(self, event: str, **fields: Any) -> Any: ...

    def warning(self, event: str, **fields: Any) -> Any: ...

    def error(self, event: str, **fields: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Failed:
    """A look for what is new that did not work, of an account."""

    until: float  # nothing is asked again before, by the reactor's clock
    rejected: str | None  # the hash of the password that the legacy server no longer takes


def _unnoticed(_account_id: int, *_about: object) -> None:
    """Nobody waits for it."""


class Mover:
    """All moves of this process."""

    def __init__(
        self,
        config: Config,
        accounts: Accounts,
        sealer: Sealer,
        homes: Homes,
        legacy: LegacyDoor,
        *,
        reactor: Any,
        in_thread: InThread,
        log: Log,
    ) -> None:
        self.moves = Moves()
        self.turns: Turns[Name] = Turns()  # one check or start at a time for each account
        self._config = config
        self._accounts = accounts
        self._sealer = sealer
        self._homes = homes
        self._legacy = legacy
        self._reactor = reactor
        self._in_thread = in_thread
        self._log = log
        self.begins: Callable[[int, Move], None] = _unnoticed  # called with each account's move before it runs
        self.failed: Callable[[int], None] = (
            _unnoticed  # … and with each account whose move has failed, or cannot begin
        )
        self._refreshing: set[int] = set()
        self._failed: dict[int, _Failed] = {}
        self._stopping = False

    async def start(self, account: Account, password: Secret, source: Source) -> Running:
        """Start the account's move over a connection that has logged in, in the account's turn.

        Raises StorageFailed, and SourceLost when the daemon is stopping; the source is then the caller's to drop.
        """
        maildir = self._config.maildir_for(account.local, account.domain)
        home = await self._homes.open(account.id, account.name, maildir)
        if self._stopping:
            home.close()
            raise SourceLost("the daemon is stopping")
        migration = self._config.migration
        terms = Terms(first=account.state is State.MOVING, seen=migration.seen, serve=migration.login == "serve")
        started = written = self._reactor.seconds()
        writing: Deferred[None] | None = None

        def make(told: Told) -> Move:
            def tell(sums: Sums) -> None:
                nonlocal written, writing
                told(sums)
                over = writing is None or writing.called
                if over and self._reactor.seconds() - written >= PROGRESS_SECONDS:
                    written = self._reactor.seconds()
                    writing = self.apart(self._write_progress(account, sums))

            reopen = self._legacy.reopener(name_of(account), password)
            move = Move(home, source, reopen, terms, in_thread=self._in_thread, clock=self._reactor, told=tell)
            self.begins(account.id, move)
            return move

        async def concluded(result: Sums | Exception) -> None:
            if writing is not None:
                await writing  # or what it writes could come last
            await self._write_down(account, result, self._reactor.seconds() - started)

        self._log.info("move started", account=account.name, first=terms.first)
        running = self.moves.start(account.id, make, concluded)
        self._note_when_listed(account, running)
        self.apart(self._see_out(running, home))
        return running

    def _note_when_listed(self, account: Account, running: Running) -> None:
        def listed(why_not: str) -> None:
            if why_not:
                self._log.warning("login is held until all is here", account=account.name, reason=why_not)
            else:
                self._log.info("mailbox is listed", account=account.name)

        running.when_listed(listed)

    async def _see_out(self, running: Running, home: Home) -> None:
        try:
            await running.result.wait()
        except SourceError:
            pass  # written down
        finally:
            home.close()

    async def _write_progress(self, account: Account, sums: Sums) -> None:
        messages, octets = (sums.messages_done, sums.messages_total), (sums.bytes_done, sums.bytes_total)
        await self._in_thread(self._accounts.progress, account.id, messages, octets)

    async def _write_down(self, account: Account, result: Sums | Exception, seconds: float) -> None:
        """How a move ended: for the administrator, and in the account's state."""
        if isinstance(result, Exception):
            self._log.warning("move interrupted", account=account.name, reason=str(result), seconds=round(seconds, 3))
            if not self._stopping:
                await self._in_thread(self._accounts.set_reason, account.id, str(result))
            self.failed(account.id)
            return
        reason = ""
        if result.quarantined:
            reason = f"{result.quarantined} messages could not be carried over and are in quarantine"
        await self._write_progress(account, result)
        await self._in_thread(self._accounts.moved, account.id, reason)
        self._log.info(
            "move done",
            account=account.name,
            messages=result.messages_done,
            octets=result.bytes_done,
            quarantined=result.quarantined,
            seconds=round(seconds, 3),
        )

    # What arrived since

    def refresh_if_due(self, account: Account, password: Secret) -> None:
        """Look for what is new at the legacy server, if the last look was long enough ago. Nobody waits for it."""
        last = account.refreshed
        due = last is None or not 0 <= time.time() - last < self._config.migration.refresh
        failed = self._failed.get(account.id)
        if failed is not None:
            # A server that is down is left alone for a while; a password that it no longer takes is not sent to it
            # at every login, which would lock out whoever has the new one (invariant 10).
            due = due and self._reactor.seconds() >= failed.until and failed.rejected != account.password_hash
        if due and not self._stopping and account.id not in self._refreshing and self.moves.of(account.id) is None:
            self.apart(self._refresh(account, password))

    async def go_on(self, account: Account, password: Secret) -> None:
        """Go on with a move that has failed, since somebody needs what it brings; unless somebody has begun to. Tells
        `begins` or `failed` of it."""
        rejected = self._failed.get(account.id)
        if self._stopping or (rejected is not None and rejected.rejected == account.password_hash):
            self.failed(account.id)  # a password that the legacy server no longer takes is not sent again
        elif account.id not in self._refreshing and self.moves.of(account.id) is None:
            await self._refresh(account, password)

    async def _refresh(self, account: Account, password: Secret) -> None:
        self._refreshing.add(account.id)
        name = name_of(account)
        try:
            running = await self.turns.take(name, lambda: self._open_and_start(account, password))
            if running is not None:
                await running.result.wait()
            elif self.moves.of(account.id) is None:
                self.failed(account.id)
            self._failed.pop(account.id, None)
        except (LegacyError, SourceError) as error:
            # Not the user's business: what is here is served. A moved account is not broken by it.
            self._log.warning("nothing new fetched", account=account.name, reason=str(error))
            rejected = account.password_hash if isinstance(error, LoginRejected) else None
            self._failed[account.id] = _Failed(self._reactor.seconds() + self._config.migration.refresh, rejected)
            if isinstance(error, LegacyError):  # how a move ended is written down by itself
                self.failed(account.id)
                await self._in_thread(self._accounts.set_reason, account.id, str(error))
        finally:
            self._refreshing.discard(account.id)

    async def _open_and_start(self, account: Account, password: Secret) -> Running | None:
        # Its turn may have come late: what was true before may not be so any more.
        account = await self._in_thread(self._accounts.get, account.id)
        movable = account.state in {State.MOVING, State.MOVED}
        if self._stopping or not movable or self.moves.of(account.id) is not None:
            return None
        source = await self._legacy.open(name_of(account), password)
        try:
            return await self.start(account, password, source)
        except BaseException:
            source.abort()
            raise

    # After a restart

    async def resume(self) -> None:
        """Go on with the moves that a crash or a stop interrupted, where the password is known."""
        for account in await self._in_thread(self._interrupted):
            assert account.sealed_password is not None
            try:
                password = Secret(self._sealer.open(account.name, account.sealed_password))
            except SecretUnreadable as error:
                self._log.error("move not resumed", account=account.name, reason=str(error))
                continue
            if account.domain in self._config.domains and self.moves.of(account.id) is None:
                self.apart(self._refresh(account, password))

    def _interrupted(self) -> list[Account]:
        return [a for a in self._accounts.list() if a.state is State.MOVING and a.sealed_password]

    async def stop(self) -> None:
        """End all moves at their last barriers; they go on at the next start or login."""
        self._stopping = True
        await self.moves.stop()

    def apart(self, work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[None]:
        """Let something run that nobody has to wait for; what goes wrong in it is logged."""
        return Deferred.fromCoroutine(work).addErrback(self._unexpected)

    def _unexpected(self, failure: Failure) -> None:
        if isinstance(failure.value, MailstoreError):
            self._log.error("store failed", reason=failure.getErrorMessage())
        else:
            self._log.error("unexpected", error=kind(failure), where=where(failure))
