"""Who may come in.

    state      password fits the stored hash          it does not, or there is none
    -----      -----------------------------          -----------------------------
    waiting    –                                      ask the legacy server
    moving     join the move, or start it again;      ask the legacy server
               in, once the mailbox is listed, where
               `login = "serve"`
    moved      in; look for what is new, unhurried    ask the legacy server: it may have been changed there
    final      in                                     wrong
    blocked    refused, a person has to look          refused, a person has to look

"Wrong password" is said only when the legacy server said so, or, once the account is final, when the stored hash
does (invariant 5). The connection that checked the password goes on to pull. A session is let in when the whole
old mailbox is here, or, with `login = "serve"`, is listed, and never before (invariant 3); two sessions of one account
share one check and one move.

A check or a move that has begun goes on when the client that caused it leaves; a check that has not is dropped,
so that those who come and go do not queue up before those who wait. Nobody is held for longer than `hold_limit`,
whatever for, and who needs no legacy server waits for none. While an administrator has paused an account or its
domain, the legacy server is not asked: who needs it is told to come back later, and the others are let in as usual.

Where only accounts of a list may come in, who is not on it is refused as who is and has a wrong password, and after as
long (`questions`).

Who asks for another program, such as Postfix, needs no mailbox (`vouch`): a move that has begun is not waited for, and
a user whose password is known is in while it is under way. There is an answer within seconds.

Where several nodes have one database, one of them has an account while it is asked about and moved (`leasing`). Who
comes to another one meanwhile waits there for what becomes of it, and sees how far it is; when nobody has the account
any more, whether it was done or its node died, it is looked at anew.

An account's aliases, and what it is called at the legacy server, are as good as its name here (`known_as`). To the
legacy server it has the one name that it has there.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater

from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.custody import see_that_it_is_ours
from mailstore.errors import InOtherHands, MailstoreError
from mailstore.secrets import Sealer
from proxy.config import Config
from proxy.login import reasons
from proxy.login.asking import ask
from proxy.login.hashes import Hashes, Patience
from proxy.login.hashing import Hashing
from proxy.login.homes import Homes
from proxy.login.known_as import KnownAs
from proxy.login.leasing import MovesElsewhere, Tenure, differ
from proxy.login.legacy import LegacyDoor
from proxy.login.mover import Mover
from proxy.login.names import Name, parse
from proxy.login.notes import LoginNotes
from proxy.login.outcomes import Log
from proxy.login.questions import Asked, Questions
from proxy.login.refusing import unavailable, wrong
from proxy.login.throttle import Throttle
from proxy.migration.moves import Running
from proxy.migration.source import GaveWay, Source, SourceError
from proxy.wire import trace
from proxy.wire.door import Because, Credentials, Hold, Home, LoginRefused, Refusal, Secret
from proxy.wire.in_thread import InThread
from proxy.wire.tally import LOGINS, THROTTLED, Tally

_UNDECIDED = {Because.DOWN, Because.BUSY, Because.NOT_POSSIBLE, Because.PAUSED}


class _Waits(Exception):
    """Another node has the account, of which this is known; was the password `accepted`?"""

    def __init__(self, account: Account | None, *, accepted: bool) -> None:
        super().__init__()
        self.account = account
        self.accepted = accepted


class LoginGate:
    """A `proxy.wire.door.Gate`: the real one."""

    def __init__(
        self,
        config: Config,
        accounts: Accounts,
        sealer: Sealer,
        homes: Homes,
        legacy: LegacyDoor,
        mover: Mover,
        *,
        reactor: Any,
        in_thread: InThread,
        log: Log,
        notes: LoginNotes | None = None,
        tally: Tally | None = None,
        hashing: Hashing | None = None,
        asked: Asked | None = None,
    ) -> None:
        """`notes` is told who logged in; without it each login is written down by itself. `asked` tells what other
        nodes have asked legacy servers, if there are any."""
        self._config = config
        self._served = config.spellings
        self._accounts = accounts
        self._sealer = sealer
        self._homes = homes
        self._legacy = legacy
        self._mover = mover
        self._reactor = reactor
        self._in_thread = in_thread
        self._ask = partial(ask, accounts, in_thread)
        self._log = log
        self._tally = tally or Tally()
        self.throttle = self._throttle = Throttle(reactor.seconds)
        self._hashing = hashing or Hashing(in_thread)
        self._questions = Questions(accounts, legacy, self._throttle, reactor, log, self._tally, in_thread, asked)
        self._known_as = KnownAs(accounts, frozenset(config.domains), reactor, in_thread)
        mover.rejected = self._throttle.changed
        self._notes = notes or LoginNotes(accounts, clock=reactor, in_thread=in_thread, log=log, together=0.0)
        self._hashes = Hashes(self._throttle, self._hashing)

    async def login(self, credentials: Credentials, hold: Hold) -> Home:
        """See the table above. Raises LoginRefused."""
        account = await self.admit(credentials, hold)
        maildir = self._config.maildir_for(account.local, account.domain)
        try:
            home = await self._homes.open(account.id, account.name, maildir)
        except MailstoreError as error:
            raise self._broken(account.name, error, maildir) from error
        if credentials.protocol == "imap":
            home.may_search()
        return home

    async def admit(self, credentials: Credentials, hold: Hold) -> Account:
        """Let somebody in whose home will be opened elsewhere. Raises LoginRefused."""
        until = self._reactor.seconds() + self._config.migration.hold_limit
        return await self._decide(credentials, hold, Patience(credentials.peer, until, for_mail=True))

    async def vouch(self, credentials: Credentials, seconds: float) -> str:
        """Is this the account's password? Its name. The answer takes no longer than so many seconds; a check that does
        goes on, and so does the move that it begins. Raises LoginRefused."""
        patience = Patience(credentials.peer, self._reactor.seconds() + seconds, for_mail=False)
        return (await self._decide(credentials, Hold(), patience)).name

    async def _decide(self, credentials: Credentials, hold: Hold, patience: Patience) -> Account:
        trace.follow(credentials.trace)
        name = parse(credentials.username, self._served)
        try:
            name, found = await self._whose(credentials.username, name)
            account = await self._enter_in_time(name, found, credentials.password, hold, patience)
        except LoginRefused as refused:
            self._count(credentials, refused)
            why = (refused.because or refused.refusal).value
            self._audit("login refused", credentials, why=why, account=str(name) if name else None)
            if name is not None:
                self._mover.recently.refused(str(name), credentials.protocol, credentials.peer, why)
            await self._hold_back(refused, credentials.peer, name, patience)
            raise
        self._tally.count(LOGINS, credentials.protocol, "ok", "")
        self._audit("login", credentials, account=account.name)
        await self._notes.note(account)
        return account

    def _count(self, credentials: Credentials, refused: LoginRefused) -> None:
        reason = "" if refused.because is None else refused.because.value
        self._tally.count(LOGINS, credentials.protocol, refused.refusal.value, reason)

    def _audit(self, event: str, credentials: Credentials, **about: Any) -> None:
        """The address comes before what a client can choose: whoever reads lines by a pattern relies on it."""
        self._log.info(event, audit=True, peer=credentials.peer, protocol=credentials.protocol, **about)

    async def _hold_back(self, refused: LoginRefused, peer: str, name: Name | None, patience: Patience) -> None:
        """Answer guesses slower and slower. Those that were not asked about at the legacy server, because it is down,
        would be free guesses at the stored hash: they count against the account, and nobody else."""
        guessed = refused.refusal is Refusal.WRONG or refused.because is Because.TOO_MANY
        if not guessed and refused.because not in _UNDECIDED:
            return
        delay = self._throttle.refused(peer, None if name is None else str(name), guessed=guessed)
        if not patience.for_mail:
            delay = min(delay, max(0.0, patience.until - self._reactor.seconds()))
        if not delay:
            return
        leave = self._throttle.hold_back(peer)
        self._tally.count(THROTTLED, "closed" if leave is None else "delayed")
        if leave is None:
            refused.ends = True
            return
        try:
            await deferLater(self._reactor, delay)
        finally:
            leave()

    async def _whose(self, username: bytes, name: Name | None) -> tuple[Name | None, Account | None]:
        """The account's name where another one of its was written; and the account, if that is known by now. Raises
        LoginRefused."""
        try:
            return await self._known_as.account(username, name)
        except MailstoreError as error:
            raise self._broken(str(name), error, self._config.state) from error

    async def _enter_in_time(
        self, name: Name | None, found: Account | None, password: Secret, hold: Hold, patience: Patience
    ) -> Account:
        entering = Deferred.fromCoroutine(self._enter(name, found, password, hold, patience))
        entering.addTimeout(max(0.0, patience.until - self._reactor.seconds()), self._reactor)
        try:
            return await entering
        except DeferredTimeout as error:
            if not hold.accepted:
                raise unavailable(Because.BUSY) from error
            far = f", {hold.done} of {hold.total} messages" if hold.total else ""
            raise unavailable(Because.HELD, far) from error
        except SourceError as error:
            raise unavailable(Because.DOWN) from error
        except MailstoreError as error:
            raise self._broken(str(name), error, self._config.state) from error

    def _broken(self, account: str, error: MailstoreError, place: Path) -> LoginRefused:
        self._log.error("login failed", account=account, reason=reasons.of_the_store(error, None, place))
        return unavailable(Because.BROKEN)

    async def _enter(
        self, name: Name | None, found: Account | None, password: Secret, hold: Hold, patience: Patience
    ) -> Account:
        """Check the password, and wait until the old mailbox is here. A move that gave way to another user's, just
        before this one came to wait for it, is begun again. `found`: the account as it was a moment ago."""
        if name is None:
            await self._hashes.in_vain(password, patience)
            raise wrong()
        while True:
            try:
                return await self._enter_once(name, found, password, hold, patience)
            except GaveWay:
                pass
            except _Waits as waits:
                hold.accepted = waits.accepted
                await self._mover.leasing.wait(name, waits.account, hold, self._is_listed)
            found = None

    async def _prove(
        self, name: Name, known: Account | None, password: Secret, hold: Hold, patience: Patience
    ) -> tuple[Account, Running | None]:
        """It is the account's password. With the move, if one is under way. Raises LoginRefused."""
        found, fits = await self._look_up(name, password, patience, known=known)
        if found is not None and fits and not patience.for_mail and self._goes_on(found):
            return found, None
        entered = await self._at_once(found, password) if found is not None and fits else None
        if entered is None:
            self._mover.hasten(name)  # or whoever has the turn could let others pass
            unfit = None if found is None or fits else found.password_hash
            try:
                entered = await self._mover.turns.take(name, lambda: self._check(name, password, hold, patience, unfit))
            except LoginRefused:
                if self._is_closed(name.domain) and (found is None or found.password_hash is None):
                    await self._hashes.in_vain(password, patience)
                raise
        return entered

    async def _enter_once(
        self, name: Name, found: Account | None, password: Secret, hold: Hold, patience: Patience
    ) -> Account:
        account, running = await self._prove(name, found, password, hold, patience)
        if not patience.for_mail:
            return account
        if running is not None and account.state is State.MOVING and not await self._is_listed(account):
            self._mover.hasten(name)
            if running.trace != trace.current():
                self._log.info("login joins a move", account=account.name, move=running.trace)
            try:
                await (running.opened(hold) if self._serves else running.join(hold))
            except MailstoreError as error:  # written down with the move
                raise unavailable(Because.BROKEN) from error
        return account

    def _goes_on(self, account: Account) -> bool:
        """Is the account's first move under way, or can it be gone on with? Then the password was right, and who needs
        no mail has no more to ask."""
        if account.state is not State.MOVING or account.password_state is not PasswordState.KNOWN:
            return False
        if self._mover.moves.of(account.id) is None:
            self._mover.apart(self._mover.go_on(account.id))
        return True

    @property
    def _serves(self) -> bool:
        """Are users let in before all of their mail is here?"""
        return self._config.migration.login == "serve"

    async def _is_listed(self, account: Account) -> bool:
        """May the user be let in before all is here, as far as is known of earlier moves? Raises StorageFailed."""
        if not self._serves:
            return False
        maildir = self._config.maildir_for(account.local, account.domain)
        home = await self._homes.open(account.id, account.name, maildir)
        try:
            return await home.run(lambda mail: mail.oncoming.complete())
        finally:
            home.close()

    async def _look_up(
        self,
        name: Name,
        password: Secret,
        patience: Patience,
        unfit: str | None = None,
        *,
        known: Account | None = None,
    ) -> tuple[Account | None, bool]:
        """The account, if it is not known already, and whether the password fits its stored hash, which was tried
        before if it is `unfit`."""
        account = known or await self._ask(self._accounts.find, name.local, name.domain)
        if account is None:
            if self._is_closed(name.domain) and not await self._ask(self._accounts.any_asked_for, name.domain):
                await self._hashes.in_vain(password, patience)
                raise wrong()
            return None, False
        if account.state is State.BLOCKED:
            raise self._blocked(account)
        fits = account.password_hash != unfit and await self._hashes.fits(account, password, patience)
        if account.state is State.FINAL and not fits:
            if account.password_hash is None:
                await self._hashes.in_vain(password, patience)
            raise wrong()
        return account, fits

    def _blocked(self, account: Account) -> LoginRefused:
        """Who looks for a mailbox that another server has is not to be told that something is wrong with it."""
        maildir = self._config.maildir_for(account.local, account.domain)
        with suppress(OSError):
            try:
                see_that_it_is_ours(maildir)
            except InOtherHands as error:
                return LoginRefused(Refusal.UNAVAILABLE, str(error))
        return LoginRefused(Refusal.BLOCKED, "this account needs the administrator's attention")

    def _is_closed(self, domain: str) -> bool:
        """May only accounts of a list come in?"""
        return self._config.domains[domain].accounts == "listed"

    async def _at_once(self, account: Account, password: Secret) -> tuple[Account, Running | None] | None:
        """The password fits the stored hash. None where the legacy server has to be asked all the same."""
        running = self._mover.moves.of(account.id)
        if account.state is State.MOVING and running is None:
            if not await self._is_listed(account):
                return None
            self._mover.apart(self._mover.go_on(account.id))
            return account, None
        if account.state is State.MOVED:
            self._mover.refresh_if_due(account, password)
        return account, running

    # The check, one at a time for each account

    async def _check(
        self, name: Name, password: Secret, hold: Hold, patience: Patience, unfit: str | None
    ) -> tuple[Account, Running | None]:
        """The account, and its move if one is under way. Things may have changed while others had their turn."""
        found, fits = await self._look_up(name, password, patience, unfit)
        entered = await self._at_once(found, password) if found is not None and fits else None
        if entered is not None:
            return entered
        tenure: Tenure | None = None
        try:
            tenure = await self._mover.leasing.take(name)
        except MovesElsewhere as elsewhere:
            if found is None or found.password_hash is None or fits:
                raise _Waits(found, accepted=fits) from elsewhere
            # Another password than the one that it is moved with: the legacy server says which one is right.
        try:
            # Another node may have had the account until just now, and asked.
            if tenure is None or tenure.lease is None or await self._is_as(found, name):
                return await self._ask_legacy(name, password, hold, found, fits=fits)
        finally:
            if tenure is not None:
                tenure.leave()
        return await self._check(name, password, hold, patience, unfit)

    async def _is_as(self, seen: Account | None, name: Name) -> bool:
        """Is nothing new that decides about a login?"""
        return not differ(seen, await self._ask(self._accounts.find, name.local, name.domain))

    async def _ask_legacy(
        self, name: Name, password: Secret, hold: Hold, account: Account | None, *, fits: bool
    ) -> tuple[Account, Running | None]:
        known = None if account is None else account.password_hash
        if account is None and self._is_closed(name.domain):
            await self._questions.ask_about_stranger(name, password)
        source = await self._questions.ask(name, password, known if fits else None)
        try:
            if known is not None and not fits:
                await self._be_sure(name, source)  # nothing that follows will show whether it was meant so
            hold.accepted = True
            if account is None or self._mover.moves.of(account.id) is None:
                self._mover.prepare(name, account, source)
            hashing = self._hashing.hash(password)  # which takes as long as all that follows
            sealing = partial(self._sealer.seal, str(name), password.reveal())
            account = await self._in_thread(self._accounts.admit, name.local, name.domain, sealing)
            try:
                running = await self._join_or_start(account, password, source)
            finally:  # whatever comes of the move, the password is the user's
                stored = await hashing
                await self._in_thread(self._accounts.password_hashed, account.id, stored)
                mailbox = await self._legacy.mailbox_of(name)
                self._throttle.legacy_said_yes(account.name, password, stored, mailbox)
                self._questions.said_yes(mailbox)
        except BaseException:
            source.abort()
            raise
        return account, running

    async def _join_or_start(self, account: Account, password: Secret, source: Source) -> Running:
        running = self._mover.moves.of(account.id)
        if running is None:
            try:
                return await self._mover.start(account, password, source)
            except MovesElsewhere as elsewhere:  # it is known by then that the password is right
                raise _Waits(account, accepted=True) from elsewhere
        self._mover.use(account.id, password)  # a move under another password: this one is right now, so wait for it
        source.abort()
        return running

    async def _be_sure(self, name: Name, source: Source) -> None:
        """Did the legacy server say yes to a password that is not the one known here? Raises LoginRefused."""
        try:
            await source.prove()
        except SourceError as error:
            self._log.warning("legacy server unavailable", account=str(name), reason=str(error))
            raise unavailable(Because.DOWN) from error
