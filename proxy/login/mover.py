"""Starting moves, and writing down how they go: at a first login, for what arrived since, and in the background."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstore import secrets
from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.entries import Sums
from mailstore.errors import MailstoreError, SecretUnreadable
from mailstore.queue import TAKEN
from mailstore.room import free_octets
from mailstore.secrets import Sealer
from mailstore.writing import OpenWriter, Writer
from proxy.config import Config
from proxy.legacy.errors import LegacyBusy, LegacyError, LoginRejected
from proxy.login import reasons
from proxy.login.asking import ask
from proxy.login.carried import Carried
from proxy.login.homes import Homes
from proxy.login.leasing import Alone, FencedHome, Leasing, MovesElsewhere, Tenure
from proxy.login.legacy import HostBusy, LegacyDoor, name_of
from proxy.login.names import Name
from proxy.login.outcomes import LONGEST_WAIT, Log, Outcomes
from proxy.login.progress import Progress
from proxy.login.recently import Recently
from proxy.migration.move import Move, Terms
from proxy.migration.moves import Moves, Running, Told
from proxy.migration.schedule import Errand, Urgency
from proxy.migration.source import GaveWay, HandedOn, Reopen, Source, SourceError, SourceLost, Stopped, TakenOver
from proxy.migration.turns import Turns
from proxy.wire import trace
from proxy.wire.door import Home, Secret
from proxy.wire.faults import kind, where
from proxy.wire.in_thread import InThread
from proxy.wire.tally import Tally

ROOM: Final = 64 * 1024 * 1024  # octets that a disk has left where old mail is asked for before it is sure to fit
PATIENCE: Final = 8  # times in a row that an account waits for its next turn at a host that is busy


def _rejected(account: Account) -> str:
    """For the administrator: what a password that the legacy server does not take means."""
    if account.password_state is PasswordState.UNTRIED:
        return "the legacy server does not take the password that was given for this account"
    return "the legacy server no longer takes the password; the user has to log in once with the new one"


def _begun_by(errand: Errand | None) -> str:
    """For the log: whose doing a move is. The line of that has the same `trace`."""
    if errand is None:
        return "login"
    return {
        Urgency.HELD: "session",  # which needs a message
        Urgency.REFRESH: "later login",
        Urgency.ASKED: "request",
        Urgency.ROUND: "round",
    }[errand.urgency]


def _opened_again(account: Account) -> bool:
    """Was it final, and is not any more? What was sealed of its password is wiped."""
    return account.state is State.MOVED and account.sealed_password is None


class Unexpected(Exception):
    """A defect of ours. The text is for the administrator."""


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
        now: Callable[[], float] = time.time,
        open_writer: OpenWriter = Writer,
        tally: Tally | None = None,
        leasing: Leasing | None = None,
        make_move: Callable[..., Move] = Move,
    ) -> None:
        """`now` is the time of day, as `accounts` has it; `open_writer` makes what writes for a move; `leasing` says
        whether another node has an account, if there are others. `make_move` makes a move: another one than `Move`
        where it is to take its time and write nothing (`tests.bench.simulating`)."""
        self.leasing: Leasing = leasing or Alone()
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
        self._open_writer = open_writer
        self._make_move = make_move
        self._tally = tally or Tally()
        self.begins: Callable[[int, Move], None] = _unnoticed  # called with each account's move before it runs
        # … and with each account whose move has failed, or cannot begin.
        self.failed: Callable[[int], None] = _unnoticed
        # … and with each account that somebody needs mail of which another node carries over.
        self.elsewhere: Callable[[int], None] = _unnoticed
        self._refreshing: set[int] = set()
        self._going_on: set[int] = set()
        self._failed: dict[int, float] = {}  # accounts whose last look did not work, and until when none is made
        self._turned_away: Counter[int] = Counter()  # how often in a row an account met a busy host
        self._errands: dict[Name, list[Errand]] = {}  # of this process, but for first logins'
        self._passwords: dict[int, Secret] = {}  # of the moves that are under way
        # Told whose password is no longer taken, by name and hash.
        self.rejected: Callable[[str, str], None] = lambda _account, _stored: None
        self._stopping = False
        self.recently = Recently(now)
        self._outcomes = Outcomes(
            config,
            accounts,
            sealer,
            in_thread=in_thread,
            log=log,
            failed=self._has_failed,
            rejected=self._was_rejected,
            stopping=lambda: self._stopping,
            recently=self.recently,
            tally=self._tally,
            hands_over=self.leasing.several,
        )

    def _has_failed(self, account_id: int) -> None:
        self.failed(account_id)

    def _was_rejected(self, account: str, stored: str) -> None:
        self.rejected(account, stored)

    def prepare(self, name: Name, account: Account | None, source: Source) -> None:
        """The account's move will begin over this connection: have the legacy server at work meanwhile. Where all of
        its mailbox is going to be fetched, and nobody is let in before, it may send that as well."""
        first = account is None or account.state is State.WAITING
        whole = first and self._config.migration.login == "hold"
        maildir = self._config.maildir_for(name.local, name.domain)
        new = whole and not os.path.exists(maildir)  # noqa: PTH110 - a disk that is broken is met when it is used
        source.begin(whole=new and (free_octets(maildir) or 0) >= ROOM)

    async def start(self, account: Account, password: Secret, source: Source, errand: Errand | None = None) -> Running:
        """Start the account's move over a connection that has logged in, in the account's turn. `errand` is what it
        was opened for; a user waits if not said.

        Raises StorageFailed, MovesElsewhere, and SourceLost when the daemon is stopping; the source is then the
        caller's to drop.
        """
        source.begin()
        tenure = await self.leasing.take(name_of(account))
        try:
            return await self._start(account, password, source, errand, tenure)
        except BaseException:
            tenure.leave()
            raise

    async def _start(
        self, account: Account, password: Secret, source: Source, errand: Errand | None, tenure: Tenure
    ) -> Running:
        maildir = self._config.maildir_for(account.local, account.domain)
        opened = await self._homes.open(account.id, account.name, maildir)
        if self._stopping:
            opened.close()
            raise Stopped("the daemon is stopping")
        fence = tenure.fence
        home: Home = opened if fence is None else FencedHome(opened, fence)
        accounts = self._accounts if fence is None else self._accounts.fenced(fence)
        try:
            if account.due is not None:
                await self._in_thread(accounts.begun, account.id)
            if account.again:
                await home.run(lambda mail: mail.ledger.retry())
        except BaseException:
            home.close()
            raise
        migration = self._config.migration
        terms = Terms(first=account.state is State.MOVING, seen=migration.seen, serve=migration.login == "serve")
        progress = Progress(
            account.id, accounts, seconds=self._reactor.seconds, in_thread=self._in_thread, apart=self.apart
        )
        carried = Carried(self._tally, account.domain)
        move: Move | None = None
        reopen = self._reopener(account, errand)

        def make(told: Told) -> Move:
            nonlocal move

            def tell(sums: Sums) -> None:
                told(sums)
                progress.tell(sums)
                carried.tell(sums)

            move = self._make_move(
                home,
                source,
                reopen,
                terms,
                in_thread=self._in_thread,
                clock=self._reactor,
                told=tell,
                open_writer=self._open_writer,
                measured=self._tally,
                listed_in=carried.listed_in,
                lease=tenure.lease,
                look=self.leasing.look,
            )
            self.begins(account.id, move)
            return move

        async def concluded(result: Sums | Exception) -> None:
            await progress.settled()
            assert move is not None
            await self._outcomes.write_down(account, result, move, home, progress, accounts)

        self._log.info("move started", account=account.name, first=terms.first, by=_begun_by(errand))
        self._passwords[account.id] = password
        running = self.moves.start(account.id, make, concluded)
        self._note_when_listed(account, running)
        tenure.lost = lambda: self._lost(running)
        self.apart(self._see_out(account.id, running, home, tenure))
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

    def _note_when_listed(self, account: Account, running: Running) -> None:
        def listed(why_not: str) -> None:
            if why_not:
                self._log.info("login is held until all is here", account=account.name, reason=why_not)
            else:
                self._log.info("mailbox is listed", account=account.name)

        running.when_listed(listed)

    @staticmethod
    def _lost(running: Running) -> None:
        running.move.stop(TakenOver("this node has lost the account's lease"))

    async def _see_out(self, account_id: int, running: Running, home: Home, tenure: Tenure) -> None:
        try:
            await running.result.wait()
        except (SourceError, MailstoreError):
            pass  # written down
        finally:
            del self._passwords[account_id]
            home.close()
            tenure.leave()

    def use(self, account_id: int, password: Secret) -> None:
        """What the legacy server takes now, for a move that is under way with what it took before."""
        if account_id in self._passwords:
            self._passwords[account_id] = password

    # What arrived since

    def refresh_if_due(self, account: Account, password: Secret) -> None:
        """Look for what is new at the legacy server, if the last look was long enough ago. Nobody waits for it."""
        last = account.refreshed
        every = max(self._config.migration.refresh, self._legacy.host_of(account.domain).login_delay)
        opened_again = account.sealed_password is None  # it was final: this password is to be sealed anew
        due = last is None or opened_again or not 0 <= self._now() - last < every
        # A server that is down is left alone for a while; a password that it no longer takes is not sent to it at
        # every login, which would lock out whoever has the new one (invariant 10).
        known = account.password_state is PasswordState.KNOWN
        due = due and known and self._reactor.seconds() >= self._failed.get(account.id, 0.0)
        if due and not self._stopping and account.id not in self._refreshing and self.moves.of(account.id) is None:
            self.apart(self._refresh(account, password))

    async def go_on(self, account_id: int) -> None:
        """Go on with a first move that has ended before its end, since somebody needs what it brings; unless it is
        being gone on with. Tells `begins` or `failed` of it."""
        trace.begin()
        account = await self._in_thread(self._accounts.get, account_id)
        name = name_of(account)
        if self._stopping or account.state is not State.MOVING or not account.movable:
            self.failed(account_id)
        elif account_id in self._going_on or self.moves.of(account_id) is not None:
            self.hasten(name)
        else:
            self._going_on.add(account_id)
            self.hasten(name)
            tell = self.failed  # or it is over: then nobody waits any more
            try:
                error = await self._carry(account, None, Errand(account.domain, Urgency.HELD))
                if isinstance(error, LegacyError) and not isinstance(error, LoginRejected):
                    await self._in_thread(self._accounts.set_reason, account.id, error.advice, trace.current())
                elif isinstance(error, (MovesElsewhere, TakenOver)):
                    tell = self.elsewhere
            finally:
                self._going_on.discard(account_id)
                tell(account_id)

    async def _refresh(self, account: Account, password: Secret) -> None:
        self._refreshing.add(account.id)
        try:
            error = await self._carry(account, password, Errand(account.domain, Urgency.REFRESH))
        finally:
            self._refreshing.discard(account.id)
        if error is None or isinstance(error, MovesElsewhere):
            self._failed.pop(account.id, None)
            return
        # Not the user's business: what is here is served. A moved account is not broken by it.
        self._failed[account.id] = self._reactor.seconds() + self._config.migration.refresh
        if isinstance(error, LegacyError) and not isinstance(error, LoginRejected):
            await self._in_thread(self._accounts.set_reason, account.id, error.advice, trace.current())

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
            self._log.error(
                "move not possible", account=account.name, reason=reasons.of(failure.value, self._config.state)
            )
            return failure.value
        self._unexpected(failure)
        return Unexpected("something unexpected went wrong; the log says where")

    async def _put_back(self, account: Account, error: Exception | None) -> None:
        """Write down when an account is due again whose move has not begun. Others have written down how they ended."""
        if isinstance(error, HostBusy) and self._turned_away[account.id] < PATIENCE and not self._stopping:
            self._turned_away[account.id] += 1
            await self._in_thread(self._accounts.gave_way, account.id)
            return
        self._turned_away.pop(account.id, None)
        if isinstance(error, MovesElsewhere) or (self._stopping and self.leasing.several):
            await self._in_thread(self._accounts.put_back, account.id, TAKEN)
        if self._stopping or isinstance(error, (SourceError, LoginRejected, MovesElsewhere, type(None))):
            return
        wait = self._outcomes.next_try(account)
        if isinstance(error, SecretUnreadable):
            wait = LONGEST_WAIT
        elif wait is not None and isinstance(error, LegacyBusy) and error.code == "LOGIN-DELAY":
            wait = max(wait, self._legacy.host_of(account.domain).login_delay)
        await self._in_thread(
            self._accounts.interrupted, account.id, reasons.of(error, self._config.state), wait, trace.current()
        )

    async def _carry(self, account: Account, password: Secret | None, errand: Errand) -> Exception | None:
        """Ask the legacy server, in the account's turn, and see the move to its end. Gives back what went wrong
        there, or in the move. Without `password` it is the sealed one. Raises MailstoreError if nothing was begun."""
        name = name_of(account)
        errands = self._errands.setdefault(name, [])
        errands.append(errand)
        try:
            running = await self.turns.take(name, lambda: self._open_and_start(account, password, errand))
            return None if running is None else await self._end_of(running)
        except MovesElsewhere as error:
            self._log.info("another node has the account", account=account.name, node=error.node)
            return error
        except (LegacyError, SourceError) as error:
            reported = isinstance(error, LegacyError) and error.reported
            log = self._log.info if reported else self._log.warning
            log("nothing new fetched", account=account.name, reason=reasons.of(error, self._config.state))
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
        running = self.moves.of(account.id)
        if running is not None:
            self._joined(account, running)
            return running
        tenure = await self.leasing.take(name_of(account))
        try:
            return await self._open_and_start_here(account, password, errand)
        finally:
            tenure.leave()

    async def _open_and_start_here(self, account: Account, password: Secret | None, errand: Errand) -> Running | None:
        # Its turn may have come late: what was true before may not be so any more.
        fresh = await self._in_thread(self._accounts.get, account.id)
        if password is not None and (
            fresh.password_hash != account.password_hash or fresh.password_state is not PasswordState.KNOWN
        ):
            return None  # another password has come up: that one counts
        able = fresh.movable or (password is not None and _opened_again(fresh))
        paused = await ask(self._accounts, self._in_thread, self._accounts.is_paused, fresh.local, fresh.domain)
        if self._stopping or not able or paused:
            if password is None:
                await self._in_thread(self._accounts.gave_way, account.id)
            return None
        if password is None:
            assert fresh.sealed_password is not None
            password = Secret(self._sealer.open(fresh.name, fresh.sealed_password))
        try:
            source = await self._legacy.open(name_of(fresh), password, errand)
        except LoginRejected:
            await self._outcomes.no_longer(fresh, _rejected(fresh))
            raise
        try:
            # Without a hash: the daemon was killed when it was about to write that down.
            unsure = fresh.password_state is PasswordState.UNTRIED or fresh.password_hash is None
            if unsure or fresh.sealed_password is None:
                fresh = await self._accepted(fresh, password)
            return await self.start(fresh, password, source, errand)
        except BaseException:
            source.abort()
            raise

    def _joined(self, account: Account, running: Running) -> None:
        if running.trace != trace.current():
            self._log.info("there is a move already", account=account.name, move=running.trace)

    async def _accepted(self, account: Account, password: Secret) -> Account:
        """The legacy server has taken a password that was sealed, and is not hashed: it is the account's."""
        stored = await self._in_thread(secrets.hash_password, password.reveal())
        sealing = partial(self._sealer.seal, account.name, password.reveal())
        return await self._in_thread(self._accounts.admit, account.local, account.domain, sealing, stored)

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

    def hand_on(self, spared: Callable[[int], bool]) -> None:
        """End moves at their last barriers, but for those of accounts that are `spared`: whoever looks next goes on
        with them, another node or this one."""
        for number in self.moves.accounts():
            running = self.moves.of(number)
            if running is not None and not spared(number):
                running.move.stop(HandedOn("this node is drained"))

    def awaited(self, account_id: int) -> bool:
        """Does somebody wait for an account's move?"""
        running = self.moves.of(account_id)
        return account_id in self._going_on or (running is not None and running.awaited)

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
