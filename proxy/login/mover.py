"""Starting moves, and writing down how they go: at a first login, for what arrived since, and in the background."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstore import secrets
from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.errors import MailstoreError, SecretUnreadable
from mailstore.ledger import Sums
from mailstore.secrets import Sealer
from proxy.config import Config
from proxy.legacy.errors import LegacyBusy, LegacyError, LoginRejected
from proxy.login import reasons
from proxy.login.homes import Homes
from proxy.login.legacy import LegacyDoor, name_of
from proxy.login.names import Name
from proxy.migration.move import Move, Terms
from proxy.migration.moves import Moves, Running, Told
from proxy.migration.pull import InThread
from proxy.migration.quarantine import in_words
from proxy.migration.schedule import Errand, Urgency
from proxy.migration.source import GaveWay, PasswordChanged, Reopen, Source, SourceError, SourceLost, Stopped
from proxy.migration.turns import Turns
from proxy.wire.door import Home, Secret
from proxy.wire.faults import kind, where

PROGRESS_SECONDS = 1.0  # how often a move's progress is written down for `status`
FEW: Final = 100  # messages that will be here before anybody asks how far it is
FIRST_WAIT: Final = 60.0  # seconds after which a move that was interrupted is tried again, and twice as long each time
LONGEST_WAIT: Final = 3600.0


class Log(Protocol):
    """A structlog logger."""

    def info(self, event: str, **fields: Any) -> Any: ...

    def warning(self, event: str, **fields: Any) -> Any: ...

    def error(self, event: str, **fields: Any) -> Any: ...


def _rejected(account: Account) -> str:
    """For the administrator: what a password that the legacy server does not take means."""
    if account.password_state is PasswordState.UNTRIED:
        return "the legacy server does not take the password that was given for this account"
    return "the legacy server no longer takes the password; the user has to log in once with the new one"


@dataclass(frozen=True, slots=True)
class _Ended:
    """A move that has. `last`: how far it was; `remarks` are for the administrator, `troubles` what it met with."""

    result: Sums | Exception
    last: Sums | None
    remarks: str
    troubles: Sequence[str]
    seconds: float


class Unexpected(Exception):
    """A defect of ours. The text is for the administrator."""


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
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now` is the time of day, as `accounts` has it."""
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
        self._now = now
        self._refreshing: set[int] = set()
        self._failed: dict[int, float] = {}  # accounts whose last look did not work, and until when none is made
        self._errands: dict[Name, list[Errand]] = {}  # of this process, but for first logins'
        self._passwords: dict[int, Secret] = {}  # of the moves that are under way
        # Told whose password is no longer taken, by name and hash.
        self.rejected: Callable[[str, str], None] = lambda _account, _stored: None
        self._stopping = False

    async def start(self, account: Account, password: Secret, source: Source, errand: Errand | None = None) -> Running:
        """Start the account's move over a connection that has logged in, in the account's turn. `errand` is what it
        was opened for; a user waits if not said.

        Raises StorageFailed, and SourceLost when the daemon is stopping; the source is then the caller's to drop.
        """
        maildir = self._config.maildir_for(account.local, account.domain)
        home = await self._homes.open(account.id, account.name, maildir)
        if self._stopping:
            home.close()
            raise Stopped("the daemon is stopping")
        try:
            if account.due is not None:
                await self._in_thread(self._accounts.begun, account.id)
            if account.again:
                await home.run(lambda mail: mail.ledger.retry())
        except BaseException:
            home.close()
            raise
        terms = Terms(first=account.state is State.MOVING, seen=self._config.migration.seen)
        started = self._reactor.seconds()
        written: float | None = None
        writing: Deferred[None] | None = None
        last: Sums | None = None
        move: Move | None = None
        reopen = self._reopener(account, errand)

        def make(told: Told) -> Move:
            nonlocal move

            def tell(sums: Sums) -> None:
                nonlocal written, writing, last
                told(sums)
                last = sums
                over = writing is None or writing.called
                if written is None:  # what is listed is written at once, where the rest will take a while
                    few = sums.messages_total - sums.messages_done < FEW
                    written = started if few else started - PROGRESS_SECONDS
                if over and self._reactor.seconds() - written >= PROGRESS_SECONDS:
                    written = self._reactor.seconds()
                    writing = self.apart(self._write_progress(account, sums))

            move = Move(home, source, reopen, terms, in_thread=self._in_thread, clock=self._reactor, told=tell)
            return move

        async def concluded(result: Sums | Exception) -> None:
            if writing is not None:
                await writing  # or what it writes could come last
            remarks = [*move.remarks] if move is not None else []
            if isinstance(result, Sums) and result.quarantined:
                remarks.insert(0, await home.run(lambda home: in_words(home.ledger.quarantined())))
            troubles = move.troubles if move is not None else ()
            ended = _Ended(result, last, "; ".join(remarks), troubles, self._reactor.seconds() - started)
            await self._write_down(account, ended)

        self._log.info("move started", account=account.name, first=terms.first)
        self._passwords[account.id] = password
        running = self.moves.start(account.id, make, concluded)
        self.apart(self._see_out(account.id, running, home))
        if errand is not None and errand.urgency > Urgency.REFRESH:
            errand.give_way = lambda: self._give_way(account)
        return running

    def _reopener(self, account: Account, errand: Errand | None) -> Reopen:
        """With the password that the legacy server takes by then."""
        way: tuple[Secret, Reopen] | None = None

        async def reopen() -> Source:
            nonlocal way
            now = self._passwords[account.id]
            if way is None or way[0] is not now:
                way = now, self._legacy.reopener(name_of(account), now, errand)
            return await way[1]()

        return reopen

    async def _see_out(self, account_id: int, running: Running, home: Home) -> None:
        try:
            await running.result.wait()
        except (SourceError, MailstoreError):
            pass  # written down
        finally:
            del self._passwords[account_id]
            home.close()

    def use(self, account_id: int, password: Secret) -> None:
        """What the legacy server takes now, for a move that is under way with what it took before."""
        if account_id in self._passwords:
            self._passwords[account_id] = password

    async def _write_progress(self, account: Account, sums: Sums) -> None:
        messages, octets = (sums.messages_done, sums.messages_total), (sums.bytes_done, sums.bytes_total)
        await self._in_thread(self._accounts.progress, account.id, messages, octets)

    async def _write_down(self, account: Account, ended: _Ended) -> None:
        """How a move ended: for the administrator, and in the account's state. Where that cannot be written either, the
        disk has been spoken of already."""
        try:
            if isinstance(ended.result, Exception):
                await self._write_failure(account, ended.result, ended)
            else:
                await self._write_success(account, ended.result, ended)
        except MailstoreError as error:
            if not isinstance(ended.result, MailstoreError):
                self._log.error("move not written down", account=account.name, reason=str(error))
            raise

    async def _write_failure(self, account: Account, error: Exception, ended: _Ended) -> None:
        reason = str(error)
        if isinstance(error, MailstoreError):
            reason = reasons.of_the_store(error, ended.last, self._config.maildir_for(account.local, account.domain))
        troubles, seconds = len(ended.troubles), round(ended.seconds, 3)
        self._log.warning("move interrupted", account=account.name, reason=reason, troubles=troubles, seconds=seconds)
        if self._stopping:
            return
        if ended.last is not None:
            await self._write_progress(account, ended.last)
        if isinstance(error, Stopped):
            await self._in_thread(self._accounts.gave_way, account.id)
        elif isinstance(error, PasswordChanged):
            await self._no_longer(account, reason)
        else:
            wait = self._next_try(account)
            await self._in_thread(self._accounts.interrupted, account.id, reason, wait)

    async def _write_success(self, account: Account, sums: Sums, ended: _Ended) -> None:
        """What is to be said each time again is logged once; so is what the move met with and got over, however often
        it did."""
        remarks, troubles = ended.remarks, ended.troubles
        await self._write_progress(account, sums)
        await self._in_thread(self._accounts.moved, account.id, remarks, self._next_round())
        if remarks and remarks != account.reason:
            self._log.warning("moved with troubles", account=account.name, reason=remarks)
        elif troubles:
            self._log.warning(
                "move met with trouble", account=account.name, reason=troubles[-1], troubles=len(troubles)
            )
        self._log.info(
            "move done",
            account=account.name,
            messages=sums.messages_done,
            octets=sums.bytes_done,
            quarantined=sums.quarantined,
            seconds=round(ended.seconds, 3),
        )

    async def _no_longer(self, account: Account, reason: str) -> None:
        """The legacy server does not take the password that the account had: it is not sent there again by itself."""
        fresh = await self._in_thread(self._accounts.get, account.id)
        if fresh.password_hash == account.password_hash:
            await self._in_thread(self._accounts.password_rejected, account.id, reason)
        if account.password_hash is not None and account.password_state is PasswordState.KNOWN:
            self.rejected(account.name, account.password_hash)

    # What arrived since

    def refresh_if_due(self, account: Account, password: Secret) -> None:
        """Look for what is new at the legacy server, if the last look was long enough ago. Nobody waits for it."""
        last = account.refreshed
        every = max(self._config.migration.refresh, self._legacy.host_of(account.domain).login_delay)
        due = last is None or not 0 <= self._now() - last < every
        # A server that is down is left alone for a while; a password that it no longer takes is not sent to it at
        # every login, which would lock out whoever has the new one (invariant 10).
        known = account.password_state is PasswordState.KNOWN
        due = due and known and self._reactor.seconds() >= self._failed.get(account.id, 0.0)
        if due and not self._stopping and account.id not in self._refreshing and self.moves.of(account.id) is None:
            self.apart(self._refresh(account, password))

    async def _refresh(self, account: Account, password: Secret) -> None:
        self._refreshing.add(account.id)
        try:
            error = await self._carry(account, password, Errand(account.domain, Urgency.REFRESH))
        finally:
            self._refreshing.discard(account.id)
        if error is None:
            self._failed.pop(account.id, None)
            return
        # Not the user's business: what is here is served. A moved account is not broken by it.
        self._failed[account.id] = self._reactor.seconds() + self._config.migration.refresh
        if isinstance(error, LegacyError) and not isinstance(error, LoginRejected):
            await self._in_thread(self._accounts.set_reason, account.id, error.advice)

    # What nobody waits for

    async def in_background(self, account: Account, errand: Errand) -> LegacyError | None:
        """Move an account that was taken out of the queue, with its sealed password. How it ended is written down,
        with the time of the next move. Gives back why the legacy server could not be asked, if it could not."""
        carrying = Deferred.fromCoroutine(self._carry(account, None, errand))
        error: Exception | None = await carrying.addErrback(self._not_begun, account)
        await self._put_back(account, error)
        return error if isinstance(error, LegacyError) and not self._stopping else None

    def _not_begun(self, failure: Failure, account: Account) -> Exception:
        """Without a note in the queue the account would not be looked after again before the next start."""
        if isinstance(failure.value, MailstoreError):
            self._log.error("move not possible", account=account.name, reason=str(failure.value))
            return failure.value
        self._unexpected(failure)
        return Unexpected("something unexpected went wrong; the log says where")

    async def _put_back(self, account: Account, error: Exception | None) -> None:
        """Write down when an account is due again whose move has not begun. Others have written down how they ended."""
        if self._stopping or isinstance(error, (SourceError, LoginRejected, type(None))):
            return
        wait = self._next_try(account)
        if isinstance(error, SecretUnreadable):
            wait = LONGEST_WAIT
        elif wait is not None and isinstance(error, LegacyBusy) and error.code == "LOGIN-DELAY":
            wait = max(wait, self._legacy.host_of(account.domain).login_delay)
        reason = error.advice if isinstance(error, LegacyError) else str(error)
        await self._in_thread(self._accounts.interrupted, account.id, reason, wait)

    async def _carry(self, account: Account, password: Secret | None, errand: Errand) -> Exception | None:
        """Ask the legacy server, in the account's turn, and see the move to its end. Gives back what went wrong
        there, or in the move. Without `password` it is the sealed one. Raises MailstoreError if nothing was begun."""
        name = name_of(account)
        errands = self._errands.setdefault(name, [])
        errands.append(errand)
        try:
            running = await self.turns.take(name, lambda: self._open_and_start(account, password, errand))
            return None if running is None else await self._end_of(running)
        except (LegacyError, SourceError) as error:
            reason = error.advice if isinstance(error, LegacyError) else str(error)
            self._log.warning("nothing new fetched", account=account.name, reason=reason)
            return error
        finally:
            errands.remove(errand)
            if not errands:
                del self._errands[name]

    async def _end_of(self, running: Running) -> SourceError | None:
        try:
            await running.result.wait()
        except SourceError as error:
            return error
        except MailstoreError as error:
            return SourceLost(str(error))  # how it ended is written down, as with the others
        return None

    async def _open_and_start(self, account: Account, password: Secret | None, errand: Errand) -> Running | None:
        # Its turn may have come late: what was true before may not be so any more.
        fresh = await self._in_thread(self._accounts.get, account.id)
        running = self.moves.of(account.id)
        if running is not None:
            return running
        if password is not None and (
            fresh.password_hash != account.password_hash or fresh.password_state is not PasswordState.KNOWN
        ):
            return None  # another password has come up: that one counts
        if self._stopping or not fresh.movable or self._accounts.is_paused(fresh.local, fresh.domain):
            if password is None:
                await self._in_thread(self._accounts.gave_way, account.id)
            return None
        assert fresh.sealed_password is not None
        password = password or Secret(self._sealer.open(fresh.name, fresh.sealed_password))
        try:
            source = await self._legacy.open(name_of(fresh), password, errand)
        except LoginRejected:
            await self._no_longer(fresh, _rejected(fresh))
            raise
        try:
            if fresh.password_state is PasswordState.UNTRIED:
                fresh = await self._accepted(fresh, password)
            return await self.start(fresh, password, source, errand)
        except BaseException:
            source.abort()
            raise

    async def _accepted(self, account: Account, password: Secret) -> Account:
        """The legacy server has taken a password that an administrator gave: it is the account's."""
        stored = await self._in_thread(secrets.hash_password, password.reveal())
        sealed = self._sealer.seal(account.name, password.reveal())
        await self._in_thread(self._accounts.password_accepted, account.id, stored, sealed)
        return await self._in_thread(self._accounts.get, account.id)

    def hasten(self, name: Name) -> None:
        """A user waits for whatever is under way for this account."""
        for errand in self._errands.get(name, ()):
            self._legacy.hasten(errand)

    def pause(self, account_id: int) -> None:
        """End an account's move at its last barrier: an administrator has paused it."""
        running = self.moves.of(account_id)
        if running is not None:
            running.move.stop(Stopped("paused by the administrator"))

    def _give_way(self, account: Account) -> None:
        running = self.moves.of(account.id)
        if running is not None:
            self._log.info("move gives way", account=account.name)
            running.move.stop(GaveWay("a user waited for the connection"))

    def _next_round(self) -> float | None:
        """Seconds until a mailbox that is here is looked after again; None: never. Spread, or all that began together
        would come together for ever."""
        every = self._config.migration.round
        return every * random.uniform(0.9, 1.1) if every else None  # noqa: S311 - no secret

    def _next_try(self, account: Account) -> float | None:
        """Seconds until a move that did not work is tried again; None: not by itself."""
        if account.state is State.MOVED and account.asked is None:
            return self._next_round()
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(account.tries, 16))
        return wait * random.uniform(0.75, 1.25)  # noqa: S311 - no secret

    async def stop(self) -> None:
        """End all moves at their last barriers; they go on at the next start or login. Nobody gets a connection any
        more."""
        self._stopping = True
        stopped = Deferred.fromCoroutine(self.moves.stop())
        self._legacy.stop()
        await stopped

    def apart(self, work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[None]:
        """Let something run that nobody has to wait for; what goes wrong in it is logged."""
        return Deferred.fromCoroutine(work).addErrback(self._unexpected)

    def _unexpected(self, failure: Failure) -> None:
        if isinstance(failure.value, MailstoreError):
            self._log.error("store failed", reason=failure.getErrorMessage())
        else:
            self._log.error("unexpected", error=kind(failure), where=where(failure))
