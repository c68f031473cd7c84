"""One probe, from the first connection to the last word."""

from __future__ import annotations

from typing import Any, Protocol

from proxy.admin.probing.attempts import MOST, answer_of, forms, plainly_wrong, words_of
from proxy.admin.probing.finding import (
    Answer,
    Attempt,
    DeadEnd,
    Lock,
    LoginForm,
    Maildrop,
    Probed,
    Server,
    Step,
    Told,
)
from proxy.admin.probing.folders import FoldersLook
from proxy.admin.probing.maildrop import MaildropLook
from proxy.admin.probing.ways import settings, ways
from proxy.config import Config
from proxy.imap.client import connection as imap_client
from proxy.imap.client.connection import Connection as ImapConnection
from proxy.legacy.errors import BareLineEnds, LegacyError, LoginRejected, MaildropInUse, ServerRefused, TlsFailed
from proxy.legacy.settings import Legacy
from proxy.login.names import Name
from proxy.migration.source import SourceError
from proxy.pop3.client import connection as pop3_client
from proxy.pop3.client.commands import sendable
from proxy.pop3.client.connection import Connection as Pop3Connection
from proxy.wire.door import Secret

TIMEOUT = 30.0  # seconds that an answer is waited for, if not said
_LOGIN_DISABLED = "the server takes no password on this connection (LOGINDISABLED)"
_UNANSWERED = "its answer was not waited for"
_USED_UP = "both logins were needed to find out how to log in"


class Look(Protocol):
    """`maildrop` or `folders`."""

    async def run(self) -> None: ...

    async def leave(self) -> None: ...


class Probe:
    """`run` once. `reactor` is Twisted's; `told` hears what is being done."""

    def __init__(
        self,
        config: Config,
        name: Name,
        reactor: Any,
        told: Told = lambda _step, _whom: None,
        *,
        own_login: str = "",
        lock: bool = False,
        timeout: float = TIMEOUT,
    ) -> None:
        """`own_login` is the account's name at the legacy server, where it has one of its own. `lock`: where the first
        login is let in, the second is spent on whether another session may have the mailbox at the same time."""
        self._domain = config.domains[name.domain]
        self._reactor = reactor
        self._told = told
        self._lock = lock
        self._timeout = timeout
        legacy = self._domain.legacy
        self.forms = forms(self._domain, name, own_login)
        self.ways = ways(config, self._domain)
        self.found = Probed(str(name), name.domain, legacy.host, legacy.source)
        self._imap = legacy.source == "imap"

    async def run(self, password: Secret) -> Probed:
        """Raises nothing that a legacy server does."""
        begun = self._reactor.seconds()
        try:
            await self._run(password)
        except BareLineEnds as error:  # a habit that moves know: they come back, and read on as it is meant
            self.found.remarks.append(f"{error.text}: a move finds that out at the price of a login")
        except LegacyError as error:
            self.found.trouble = error.advice
        except SourceError as error:
            self.found.trouble = str(error)
        self.found.seconds = self._reactor.seconds() - begun
        return self.found

    async def _run(self, password: Secret) -> None:
        connection = await self._reached()
        if connection is None:
            return
        legacy = settings(self._domain, self._timeout, self.found.way)
        inside = await self._let_in(connection, legacy, password)
        if inside is None:
            return
        look = self._look(inside, password)
        try:
            await look.run()
        finally:
            await look.leave()
        if self._imap:
            await self._pop3_side(password)

    # On the way

    async def _reached(self) -> Pop3Connection | ImapConnection | None:
        """The first way that leads to where a login can follow; None where none does."""
        for way in self.ways:
            self._told(Step.CONNECTING, f"{self.found.host} {way}")
            try:
                connection = await self._connect(settings(self._domain, self._timeout, way))
            except LegacyError as error:
                why = error.reason if isinstance(error, TlsFailed) else error.text
                self.found.dead_ends.append(DeadEnd(way, why, error.remedy))
                if isinstance(error, ServerRefused):
                    break  # it is there, and does not want to
                continue
            if self._takes_no_password(connection):
                self.found.dead_ends.append(DeadEnd(way, _LOGIN_DISABLED, 'try `tls = "starttls"` or "implicit"'))
                connection.abort()
                continue
            self.found.way = way
            capabilities = [" ".join([name, *more]) for name, more in connection.capabilities.items()]
            self.found.server = Server(connection.greeting, sorted(capabilities), connection.encryption)
            return connection
        first = self.found.dead_ends[0]
        self.found.trouble = f"{first.way}: {first.why}" + (f"; {first.remedy}" if first.remedy else "")
        return None

    def _takes_no_password(self, connection: Pop3Connection | ImapConnection) -> bool:
        """Does it say so before it is asked (RFC 3501 6.2.3)?"""
        said = connection.capabilities
        return self._imap and "LOGINDISABLED" in said and "AUTH=PLAIN" not in said

    async def _connect(self, legacy: Legacy) -> Pop3Connection | ImapConnection:
        if self._imap:
            return await imap_client.connect(self._reactor, legacy)
        return await pop3_client.connect(self._reactor, legacy)

    # Logging in

    async def _let_in(
        self, connection: Pop3Connection | ImapConnection, legacy: Legacy, password: Secret
    ) -> Pop3Connection | ImapConnection | None:
        """The connection that was let in; None where none was."""
        last = self.forms[-1]
        for form in self.forms:
            error = await self._tried(connection, form, password)
            if error is None:
                return connection
            connection.abort()
            if form is last or not plainly_wrong(error):
                self.found.trouble = self._refused(error)
                return None
            connection = await self._connect(legacy)
        return None

    async def _tried(
        self, connection: Pop3Connection | ImapConnection, form: LoginForm, password: Secret
    ) -> LegacyError | None:
        assert len(self.found.attempts) < MOST
        self._told(Step.LOGGING_IN, form.user)
        self.found.attempts.append(Attempt(form, Answer.BROKEN, _UNANSWERED))  # for whoever interrupts it
        begun = self._reactor.seconds()
        failed: LegacyError | None = None
        try:
            if isinstance(connection, ImapConnection):
                await connection.login(form.user.encode(), password, once=True)
            else:
                await connection.login(form.user.encode(), password, apop=False)
        except LegacyError as error:
            failed = error
        took = self._reactor.seconds() - begun
        answer = Answer.ACCEPTED if failed is None else answer_of(failed)
        self.found.attempts[-1] = Attempt(form, answer, "" if failed is None else words_of(failed), took)
        return failed

    def _refused(self, error: LegacyError) -> str:
        """Nobody was let in: what that means, and what is to be done."""
        if not isinstance(error, LoginRejected):
            return error.advice
        if len(self.found.attempts) == len(self.forms):
            tried = " nor as ".join(attempt.login.user for attempt in self.found.attempts)
            neither = "neither " if len(self.forms) > 1 else ""
            return (
                f"the password is not taken, {neither}as {tried}: make sure of it in the old web mail or mail program "
                "before it is tried again, since each refusal counts there"
            )
        return (
            "the refusal may come of a limit that is near, so no second login was tried: "
            f"make sure that the password is right and wait some time; it said: {words_of(error)}"
        )

    # Inside

    def _look(self, connection: Pop3Connection | ImapConnection, password: Secret) -> Look:
        if isinstance(connection, ImapConnection):
            return FoldersLook(connection, self.found, self._reactor, self._told)

        async def second(drop: Maildrop) -> None:
            await self._second(drop, settings(self._domain, self._timeout, self.found.way), password)

        wanted = self._lock and len(self.found.attempts) < MOST
        if self._lock and not wanted:
            self.found.remarks.append(f"whether a second session may have the mailbox was not tried: {_USED_UP}")
        return MaildropLook(connection, self.found, self._reactor, self._told, second if wanted else None)

    async def _second(self, drop: Maildrop, legacy: Legacy, password: Secret) -> None:
        """Log in once more while the mailbox is open."""
        form = self.found.attempts[-1].login
        try:
            other = await pop3_client.connect(self._reactor, legacy)
        except LegacyError as error:
            drop.lock, drop.lock_words = Lock.REFUSED, error.text
            return
        refused = await self._tried(other, form, password)
        if refused is None:
            drop.lock = Lock.SHARED
            await other.quit()
            return
        other.abort()
        drop.lock_words = words_of(refused)
        drop.lock = Lock.ONE_SESSION if isinstance(refused, MaildropInUse) else Lock.REFUSED

    async def _pop3_side(self, password: Secret) -> None:
        """Where the source is IMAP, UIDLs come from POP3, if it is open. Nobody logs in for it but with `--lock`."""
        self._told(Step.POP3, "")
        legacy = settings(self._domain, min(self._timeout, 10.0))
        where = f"POP3 at port {legacy.port}"
        try:
            connection = await pop3_client.connect(self._reactor, legacy)
        except LegacyError as error:
            self.found.uidls_by_pop3 = (
                f"{where} cannot be reached ({error.text}): POP3 programs download everything again"
            )
            return
        if not (self._lock and len(self.found.attempts) < MOST):
            why = _USED_UP if self._lock else "--lock tries"
            self.found.uidls_by_pop3 = f"{where} is open; whether it lets the account in was not tried ({why})"
            await connection.quit()
            return
        self.found.uidls_by_pop3 = f"{where} {await self._pop3_says(connection, password)}"

    async def _pop3_says(self, connection: Pop3Connection, password: Secret) -> str:
        refused = await self._tried(connection, self.found.attempts[0].login, password)
        if refused is not None:
            connection.abort()
            return f"does not let the account in: {words_of(refused)}"
        try:
            names = await connection.uidl()
        except LegacyError as error:
            connection.abort()
            return f"gives no UIDLs: {error.text}"
        await connection.quit()
        return "has no UIDLs" if names is None else f"gives UIDLs of {len(names)} messages"


def can_be_sent(password: Secret) -> bool:
    """Can it be said to a mail server at all?"""
    return bool(password.reveal()) and sendable(password.reveal())
