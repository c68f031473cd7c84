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

An account's aliases, and what it is called at the legacy server, are as good as its name here (`known_as`). To the
legacy server it has the one name that it has there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater

from mailstore import secrets
from mailstore.accounts import Account, Accounts, State
from mailstore.errors import MailstoreError
from mailstore.secrets import Sealer
from proxy.config import Config
from proxy.legacy.errors import LegacyBusy, LegacyError, LoginNotPossible, LoginRejected, MaildropInUse
from proxy.login import reasons
from proxy.login.homes import Homes
from proxy.login.known_as import KnownAs
from proxy.login.legacy import LegacyDoor
from proxy.login.mover import Mover
from proxy.login.names import Name, parse
from proxy.login.notes import LoginNotes
from proxy.login.outcomes import Log
from proxy.login.throttle import Throttle
from proxy.migration.moves import Running
from proxy.migration.pull import InThread
from proxy.migration.source import GaveWay, Source, SourceError
from proxy.wire.door import Because, Credentials, Hold, Home, LoginRefused, Refusal, Secret

_WRONG = "wrong user name or password"
LATER = "the mailbox cannot be reached at the moment, try again later"


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
    ) -> None:
        """`notes` is told who logged in; without it each login is written down by itself."""
        self._config = config
        self._served = config.spellings
        self._accounts = accounts
        self._sealer = sealer
        self._homes = homes
        self._legacy = legacy
        self._mover = mover
        self._reactor = reactor
        self._in_thread = in_thread
        self._log = log
        self._throttle = Throttle(reactor.seconds)
        self._known_as = KnownAs(accounts, frozenset(config.domains), reactor, in_thread)
        mover.rejected = self._throttle.changed
        self._notes = notes or LoginNotes(accounts, clock=reactor, in_thread=in_thread, log=log, together=0.0)
        self._nobody = secrets.hash_password(b"nobody")  # what an unknown user's password is held against

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
        name = parse(credentials.username, self._served)
        try:
            name = await self._whose(credentials.username, name)
            if name is None:
                await self._refuse_nobody(credentials.password)
            account = await self._enter_in_time(name, credentials.password, hold)
        except LoginRefused as refused:
            self._log.info(
                "login refused",
                account=str(name) if name else None,
                protocol=credentials.protocol,
                peer=credentials.peer,
                why=refused.refusal.value,
            )
            if name is not None:
                why = (refused.because or refused.refusal).value
                self._mover.recently.refused(str(name), credentials.protocol, credentials.peer, why)
            if refused.refusal is Refusal.WRONG:
                delay = self._throttle.answer_delay(credentials.peer)
                self._throttle.failed(credentials.peer)
                if delay:
                    await deferLater(self._reactor, delay)
            raise
        await self._notes.note(account)
        return account

    async def _whose(self, username: bytes, name: Name | None) -> Name | None:
        """The account's name where another one of its was written. Raises LoginRefused."""
        try:
            return await self._known_as.account(username, name)
        except MailstoreError as error:
            raise self._broken(str(name), error, self._config.state) from error

    async def _enter_in_time(self, name: Name, password: Secret, hold: Hold) -> Account:
        entering = Deferred.fromCoroutine(self._enter(name, password, hold))
        entering.addTimeout(self._config.migration.hold_limit, self._reactor)
        try:
            return await entering
        except DeferredTimeout as error:
            carried = f"your old mail is still being carried over, {hold.done} of {hold.total} messages"
            because = Because.HELD if hold.accepted else Because.BUSY
            raise LoginRefused(Refusal.UNAVAILABLE, carried if hold.total else LATER, because) from error
        except SourceError as error:
            raise LoginRefused(Refusal.UNAVAILABLE, LATER, Because.DOWN) from error
        except MailstoreError as error:
            raise self._broken(str(name), error, self._config.state) from error

    def _broken(self, account: str, error: MailstoreError, place: Path) -> LoginRefused:
        self._log.error("login failed", account=account, reason=reasons.of_the_store(error, None, place))
        return LoginRefused(Refusal.UNAVAILABLE, LATER, Because.BROKEN)

    async def _enter(self, name: Name, password: Secret, hold: Hold) -> Account:
        """Check the password, and wait until the old mailbox is here. A move that gave way to another user's, just
        before this one came to wait for it, is begun again."""
        while True:
            try:
                return await self._enter_once(name, password, hold)
            except GaveWay:
                continue

    async def _enter_once(self, name: Name, password: Secret, hold: Hold) -> Account:
        found, fits = await self._look_up(name, password)
        entered = await self._at_once(found, password) if found is not None and fits else None
        if entered is None:
            self._mover.hasten(name)  # or whoever has the turn could let others pass
            unfit = None if found is None or fits else found.password_hash
            entered = await self._mover.turns.take(name, lambda: self._check(name, password, hold, unfit))
        account, running = entered
        if running is not None and account.state is State.MOVING and not await self._is_listed(account):
            self._mover.hasten(name)
            try:
                await (running.opened(hold) if self._serves else running.join(hold))
            except MailstoreError as error:  # written down with the move
                raise LoginRefused(Refusal.UNAVAILABLE, LATER, Because.BROKEN) from error
        return account

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

    async def _look_up(self, name: Name, password: Secret, unfit: str | None = None) -> tuple[Account | None, bool]:
        """The account, and whether the password fits its stored hash, which was tried before if it is `unfit`."""
        account = self._accounts.find(name.local, name.domain)  # one row by its key: quicker than the way to a thread
        if account is None:
            if self._config.domains[name.domain].accounts == "listed":
                await self._refuse_nobody(password)
            return None, False
        if account.state is State.BLOCKED:
            raise LoginRefused(Refusal.BLOCKED, "this account needs the administrator's attention")
        fits = account.password_hash != unfit and await self._fits(account, password)
        if account.state is State.FINAL and not fits:
            raise LoginRefused(Refusal.WRONG, _WRONG)
        return account, fits

    async def _refuse_nobody(self, password: Secret) -> NoReturn:
        """There is no such account: that takes as long to say as that a password is wrong."""
        await self._in_thread(secrets.verify_password, self._nobody, password.reveal())
        raise LoginRefused(Refusal.WRONG, _WRONG)

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
        self, name: Name, password: Secret, hold: Hold, unfit: str | None
    ) -> tuple[Account, Running | None]:
        """The account, and its move if one is under way. Things may have changed while others had their turn."""
        found, fits = await self._look_up(name, password, unfit)
        entered = await self._at_once(found, password) if found is not None and fits else None
        return entered or await self._ask_legacy(name, password, hold, found, fits=fits)

    async def _fits(self, account: Account, password: Secret) -> bool:
        stored = account.password_hash
        if stored is None:
            return False
        if self._throttle.known_right(account.name, password, stored):
            return True
        if not await self._in_thread(secrets.verify_password, stored, password.reveal()):
            return False
        self._throttle.was_right(account.name, password, stored)
        return True

    async def _ask_legacy(
        self, name: Name, password: Secret, hold: Hold, account: Account | None, *, fits: bool
    ) -> tuple[Account, Running | None]:
        known = None if account is None else account.password_hash
        source = await self._question(name, password, known if fits else None)
        try:
            if known is not None and not fits:
                await self._be_sure(name, source)  # nothing that follows will show whether it was meant so
            hold.accepted = True
            if account is None or self._mover.moves.of(account.id) is None:
                self._mover.prepare(name, account, source)
            hashing = self._in_thread(
                secrets.hash_password, password.reveal()
            )  # which takes as long as all that follows
            sealed = self._sealer.seal(str(name), password.reveal())
            account = await self._in_thread(self._accounts.admit, name.local, name.domain, sealed)
            try:
                running = await self._join_or_start(account, password, source)
            finally:  # whatever comes of the move, the password is the user's
                stored = await hashing
                await self._in_thread(self._accounts.password_hashed, account.id, stored)
                self._throttle.legacy_said_yes(account.name, password, stored)
        except BaseException:
            source.abort()
            raise
        return account, running

    async def _join_or_start(self, account: Account, password: Secret, source: Source) -> Running:
        running = self._mover.moves.of(account.id)
        if running is None:
            return await self._mover.start(account, password, source)
        self._mover.use(account.id, password)  # a move under another password: this one is right now, so wait for it
        source.abort()
        return running

    async def _be_sure(self, name: Name, source: Source) -> None:
        """Did the legacy server say yes to a password that is not the one known here? Raises LoginRefused."""
        try:
            await source.prove()
        except SourceError as error:
            self._log.warning("legacy server unavailable", account=str(name), reason=str(error))
            raise LoginRefused(Refusal.UNAVAILABLE, LATER, Because.DOWN) from error

    async def _question(self, name: Name, password: Secret, own: str | None) -> Source:
        """Ask the legacy server whether this is the password; `own` is its hash if it was. Raises LoginRefused."""
        if self._throttle.known_wrong(str(name), password):
            raise LoginRefused(Refusal.WRONG, _WRONG)
        if not self._throttle.may_ask(str(name)):
            words = "too many wrong passwords for this account, try again later"
            raise LoginRefused(Refusal.UNAVAILABLE, words, Because.TOO_MANY)
        if self._accounts.is_paused(name.local, name.domain):
            self._log.warning("legacy server not asked", account=str(name), reason="paused by the administrator")
            raise LoginRefused(Refusal.UNAVAILABLE, LATER, Because.PAUSED)
        try:
            return await self._legacy.open(name, password)
        except LoginRejected as error:
            if own is not None:
                self._throttle.changed(str(name), own)
            self._throttle.legacy_said_no(str(name), password)
            raise LoginRefused(Refusal.WRONG, _WRONG) from error
        except MaildropInUse as error:
            self._log.warning("legacy mailbox in use", account=str(name), reason=error.advice)
            raise LoginRefused(Refusal.IN_USE, "the old mailbox is in use by another program") from error
        except LoginNotPossible as error:
            self._log.warning("legacy login not possible", account=str(name), reason=error.advice)
            raise LoginRefused(Refusal.UNAVAILABLE, LATER, Because.NOT_POSSIBLE) from error
        except LegacyError as error:
            log = self._log.info if error.reported else self._log.warning
            log("legacy server unavailable", account=str(name), reason=error.advice)
            because = Because.BUSY if isinstance(error, LegacyBusy) else Because.DOWN
            raise LoginRefused(Refusal.UNAVAILABLE, LATER, because) from error
