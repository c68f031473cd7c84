"""The door to the legacy servers: a connection that has logged in, within the limits of its host.

Where a server lets those at the front wait in vain, those who wait for their connections are told so at once:
they would wait in vain as well, and longer, one after the other.

A user who waits at a login is not turned away because the host is busy for a moment, or because it still holds the
mailbox for a connection of ours that has just ended: the login is tried again, for `PATIENCE` seconds at most. A
password that was refused is not sent again from here, but for once in the midst of a move, for which it was taken.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.task import deferLater

from mailstore.accounts import Account
from proxy.config import Config, Domain
from proxy.legacy.bandwidth import Bandwidth
from proxy.legacy.errors import (
    LegacyBusy,
    LegacyError,
    LegacyProtocolError,
    LegacyTimeout,
    LegacyUnreachable,
    LoginNotPossible,
    LoginRejected,
    MaildropInUse,
    ServerRefused,
    TlsFailed,
)
from proxy.legacy.settings import Legacy
from proxy.login.names import Name
from proxy.login.speaking import Connection, speech_for
from proxy.migration.pop3_source import source_error
from proxy.migration.schedule import Errand, Limits, Place, Schedule, Urgency
from proxy.migration.source import Reopen, Source, SourceBusy
from proxy.wire import tally
from proxy.wire.door import Secret

PATIENCE: Final = 60.0  # seconds for which a user's login is tried again at a host that is busy
LINGERS: Final = 60.0  # seconds for which a server may hold a mailbox after our connection to it has ended
IN_USE_PAUSE: Final = 2.0  # … and between two looks whether it still does
USUAL_DELAY: Final = 30  # seconds between logins of one account, where a server wants some and does not say how many
OWN_TROUBLE: Final = 600.0  # seconds in which an account that is turned away says it of the host only once
Logins = Callable[[str, str], Awaitable[str]]  # `Accounts.legacy_login`, asked by `proxy.login.asking`
LONGEST_WAIT: Final = 16.0  # seconds until an account that was turned away several times is tried again
_MOST: Final = 1_000  # accounts that are remembered


class _InVain(LegacyTimeout):
    """It was not even tried: those before had waited in vain."""


class HostBusy(LegacyBusy):
    """The host did not want one more connection. That says nothing of the account for which one was wanted."""

    def __init__(self, text: str, *, reported: bool = False) -> None:
        super().__init__(text)
        self.reported = reported


_KINDS: Final[Sequence[tuple[type[LegacyError], str]]] = (
    (LoginRejected, "rejected"),
    (MaildropInUse, "in-use"),
    (LegacyBusy, "busy"),
    (LoginNotPossible, "not-possible"),
    (ServerRefused, "refused"),
    (TlsFailed, "tls"),
    (LegacyProtocolError, "protocol"),
    (LegacyTimeout, "timeout"),
    (LegacyUnreachable, "unreachable"),
)


ERRORS: Final = tuple(word for _, word in _KINDS)


def kind_of(error: LegacyError) -> str:
    """A word for who counts errors; never the server's own."""
    return next((word for kind, word in _KINDS if isinstance(error, kind)), "other")


class Busy(enum.Enum):
    """Who is meant by a server that says that it is."""

    NOBODY = "nobody"
    HOST = "host"
    ACCOUNT = "account"


class LegacyHost:
    """A host and port: what all domains that name it share."""

    def __init__(self, domains: Sequence[Domain], clock: Any, report: Callable[..., Any]) -> None:
        self.name, self.port = domains[0].legacy.address
        self.label = f"{self.name}:{self.port}"  # for metrics
        self._report = report
        self.domains = [domain.name for domain in domains]
        self._clock = clock
        rate = _lowest(domains, "bandwidth")
        self.bandwidth = None if rate is None else Bandwidth(rate, clock)
        connections = _lowest(domains, "connections") or domains[0].legacy.connections
        self.schedule = Schedule(Limits(connections, _lowest(domains, "logins_per_minute")), clock)
        self.login_delay = 0  # seconds that it wants between two logins of one account (RFC 2449 6.5)
        self.in_vain: tuple[float, LegacyError] | None = None  # when it was last waited for so, if not answered since
        self._left: OrderedDict[Name, float] = OrderedDict()
        self._others_left = float("-inf")  # when a node died that had connections to whatever mailboxes
        self._turned_away: OrderedDict[Name, float] = OrderedDict()
        self._reported = False  # is it in the log that it is busy?

    def left(self, name: Name, at: float | None = None) -> None:
        """A connection of ours to this mailbox has ended, now if not said when."""
        _keep(self._left, name, self._clock.seconds() if at is None else at)

    def departed(self) -> list[tuple[Name, float]]:
        """Which mailboxes connections of ours have left, and when."""
        return list(self._left.items())

    def lingers(self, name: Name) -> bool:
        """May the host still hold the mailbox for a connection of ours?"""
        at = max(self._left.get(name, float("-inf")), self._others_left)
        now: float = self._clock.seconds()
        return now - at < LINGERS

    def others_left(self) -> None:
        """A node is dead: connections of its end, when the host notices."""
        self._others_left = self._clock.seconds()

    def learn(self, connection: Connection) -> None:
        """Of what it says about itself."""
        delay = connection.capabilities.get("LOGIN-DELAY", ())
        if delay and delay[0].isascii() and delay[0].isdigit():
            self.login_delay = min(int(delay[0]), 86_400)

    def welcomed(self, place: Place, name: Name) -> None:
        """A login has succeeded."""
        self._turned_away.pop(name, None)
        self._reported = False
        place.welcomed()

    def refused(self, place: Place, name: Name | None, error: LegacyError) -> Busy:
        """Take in what went wrong; was it busy? `name` is None where it has not been told who it is."""
        if isinstance(error, _InVain):
            place.unused()
            return Busy.NOBODY
        if isinstance(error, LegacyBusy):
            if error.code == "LOGIN-DELAY":  # it wants this one account to wait, and nobody else
                self.login_delay = self.login_delay or USUAL_DELAY
                self.schedule.answered()
                return Busy.NOBODY
            return self._busy(place, name, error)
        if isinstance(error, (LoginRejected, LoginNotPossible, MaildropInUse)):
            self.schedule.answered()
        elif self._one_too_many(name, error) and self.schedule.others_welcome(place):
            return self._busy(place, name, error)  # it is there for others: one more is too many
        else:
            self.schedule.unreachable()
        return Busy.NOBODY

    @staticmethod
    def _one_too_many(name: Name | None, error: LegacyError) -> bool:
        """Could it mean that, where others are logged in? Dovecot with `process_limit` processes answers no PASS any
        more, and closes the connection some seconds later; tcpserver, which qmail-pop3d runs under, lets those beyond
        its `-c` wait for their greeting until somebody leaves."""
        return isinstance(error, LegacyUnreachable) or (name is None and isinstance(error, LegacyTimeout))

    def _busy(self, place: Place, name: Name | None, error: LegacyError) -> Busy:
        """An account that is turned away by its name again may have a trouble of its own, such as a mailbox that cannot
        be opened: it is not to slow all others down."""
        if name is not None:
            now = self._clock.seconds()
            before = self._turned_away.get(name, float("-inf"))
            _keep(self._turned_away, name, now)
            if now - before < OWN_TROUBLE:
                self.schedule.answered()
                return Busy.ACCOUNT
        if place.busy() and not self._reported:  # once, until it lets somebody in
            error.reported = self._reported = True
            most = self.schedule.allowed
            self._report("legacy server busy", host=self.name, port=self.port, connections=most, reason=error.advice)
        return Busy.HOST


def _keep(times: OrderedDict[Name, float], name: Name, at: float) -> None:
    times[name] = at
    times.move_to_end(name)
    while len(times) > _MOST:
        times.popitem(last=False)


def _lowest(domains: Iterable[Domain], key: str) -> int | None:
    """The lowest value that one of the domains names for a limit; None where none does."""
    named = [getattr(domain.legacy, key) for domain in domains if key in domain.legacy.model_fields_set]
    return min((value for value in named if value is not None), default=None)


def legacy_settings(domain: Domain, bandwidth: Bandwidth | None = None) -> Legacy:
    """How a domain's legacy server is to be spoken to over POP3, as the configuration has it."""
    legacy = domain.legacy
    return Legacy(
        host=legacy.host,
        port=legacy.port,
        tls=legacy.tls,
        verify=legacy.verify,
        ca=legacy.ca,
        minimum=legacy.tls_minimum,
        ciphers=legacy.ciphers,
        fingerprints=legacy.fingerprint,
        bandwidth=bandwidth,
    )


class LegacyServer:
    """One domain's legacy server: how to speak to it, and what was learnt of it."""

    def __init__(self, domain: Domain, host: LegacyHost, report: Callable[..., Any]) -> None:
        self.host = host
        self.login_name = domain.legacy.login_name
        self.settings = legacy_settings(domain, host.bandwidth)
        self.speech = speech_for(domain, self.settings, partial(report, domain=domain.name))


async def _by_the_form(_local: str, _domain: str) -> str:
    """No account has a name of its own at its legacy server."""
    return ""


class LegacyDoor:
    """All of them. `reactor` is Twisted's."""

    def __init__(
        self,
        config: Config,
        reactor: Any,
        report: Callable[..., Any] = lambda _event, **_fields: None,
        logins: Logins = _by_the_form,
        measured: tally.Tally | None = None,
    ) -> None:
        """`report` takes a warning for the log. `logins` tells what an account is called at its legacy server where
        that is not by its domain's form."""
        self._reactor = reactor
        self._logins = logins
        self._tally = measured or tally.Tally()
        self._entering: set[Deferred[Connection]] = set()  # those on their way in
        sharing: dict[tuple[str, int], list[Domain]] = {}
        for domain in config.domains.values():
            sharing.setdefault(domain.legacy.address, []).append(domain)
        self.hosts = [LegacyHost(domains, reactor, report) for domains in sharing.values()]
        by_domain = {name: host for host in self.hosts for name in host.domains}
        self._servers = {name: LegacyServer(domain, by_domain[name], report) for name, domain in config.domains.items()}

    def host_of(self, domain: str) -> LegacyHost:
        """The host that a domain's accounts are asked for at."""
        return self._servers[domain].host

    def remembered(self) -> dict[str, list[list[Any]]]:
        """By host, which mailboxes connections of ours have left, and when: JSON, for the next daemon."""
        return {host.label: [[name.local, name.domain, at] for name, at in host.departed()] for host in self.hosts}

    def remember(self, remembered: Mapping[str, list[list[Any]]]) -> None:
        """What the daemon before this one remembered."""
        for host in self.hosts:
            for local, domain, at in remembered.get(host.label, ()):
                host.left(Name(local, domain), at)

    async def mailbox_of(self, name: Name) -> str:
        """What an account is at its legacy server: the same text for all accounts that are the same mailbox there.
        Raises MailstoreError."""
        host = self.host_of(name.domain)
        return f"{host.name}:{host.port} {await self._user(name)}".lower()

    async def _user(self, name: Name) -> str:
        """What the legacy server calls an account."""
        own = await self._logins(name.local, name.domain)
        return own or self._servers[name.domain].login_name(name.local, name.domain)

    async def open(self, name: Name, password: Secret, errand: Errand | None = None) -> Source:
        """A connection logged in as this account, on an errand; a user waits for it if not said. Waits for a free
        place. Raises LegacyError, as it came, or HostBusy to whom no user waits for; and MailstoreError."""
        server = self._servers[name.domain]
        user = (await self._user(name)).encode()
        errand = errand or Errand(name.domain, Urgency.HELD)
        asked = self._reactor.seconds()
        until = 0.0  # how long it is tried again
        tries = 0
        reported = False  # is it in the log what the trouble was?
        while True:
            attempt = _Attempt(server, name, user, errand, asked, tries)
            try:
                return await self._attempt(attempt, password)
            except LegacyError as error:
                now = self._reactor.seconds()
                until = until if tries else now + PATIENCE
                tries += 1
                error.reported = reported = reported or error.reported
                wait = _worth_waiting(attempt, error)
                if wait is None or now + wait > until:
                    if attempt.busy is Busy.HOST and errand.urgency is not Urgency.HELD:
                        raise HostBusy(error.text, reported=reported) from error
                    raise
            if wait:
                await deferLater(self._reactor, wait)

    async def _attempt(self, attempt: _Attempt, password: Secret) -> Source:
        server, name = attempt.server, attempt.name
        schedule = server.host.schedule
        try:
            place = await schedule.acquire(attempt.errand, first=attempt.tries > 0)
        except CancelledError:
            if schedule.stopped:
                raise LegacyUnreachable("the daemon is stopping") from None
            raise
        entering = Deferred.fromCoroutine(self._enter(attempt, place, password))
        self._entering.add(entering)
        try:
            connection = await entering
        except LegacyError as error:
            if not isinstance(error, _InVain):
                self._tally.count(tally.LEGACY_ERRORS, server.host.label, kind_of(error))
            attempt.busy = server.host.refused(place, attempt.greeted, error)
            place.release()
            raise
        except (CancelledError, ConnectingCancelledError):
            place.release()
            if schedule.stopped:
                raise LegacyUnreachable("the daemon is stopping") from None
            raise
        except BaseException:
            place.release()
            raise
        finally:
            self._entering.discard(entering)
        server.host.welcomed(place, name)

        def left() -> None:
            server.host.left(name)
            place.release()

        return server.speech.source(connection, left, attempt.user, password)

    async def _enter(self, attempt: _Attempt, place: Place, password: Secret) -> Connection:
        server = attempt.server
        connection = await self._connect(server, place, attempt.asked)
        attempt.greeted = attempt.name
        server.host.learn(connection)
        began = tally.now()
        try:
            await server.speech.login(connection, attempt.user, password)
        except BaseException:
            connection.abort()
            raise
        self._tally.since(began, tally.LEGACY, server.host.label, "login")
        return connection

    async def _connect(self, server: LegacyServer, place: Place, asked: float) -> Connection:
        """A connection for somebody who has waited for it since `asked`. Raises LegacyError."""
        host = server.host
        if host.in_vain is not None and host.in_vain[0] > asked:
            error = host.in_vain[1]
            await deferLater(self._reactor, 0)  # the next in the queue is told in a turn of its own
            raise _InVain(error.text, remedy=error.remedy)
        began, precisely = self._reactor.seconds(), tally.now()
        try:
            connection = await server.speech.connect(self._reactor)
        except LegacyError as error:
            now = self._reactor.seconds()
            if now - began >= server.settings.connect_timeout and not host.schedule.others_welcome(place):
                host.in_vain = (now, error)
            raise
        host.in_vain = None
        self._tally.since(precisely, tally.LEGACY, host.label, "connect")
        return connection

    def reopener(self, name: Name, password: Secret, errand: Errand | None = None) -> Reopen:
        """What a move calls when its connection was lost.

        Servers that have one answer for a wrong password and for too many logins took this password before: they are
        asked once more after a while, and no more, which would lock the user out (invariant 10). A login that goes
        well lets another one be doubted later.
        """
        doubted = False

        async def reopen() -> Source:
            nonlocal doubted
            try:
                source = await self.open(name, password, errand)
            except LoginRejected as error:
                if doubted:
                    raise source_error(error) from error
                doubted = True
                text = f"{error.text}, though it took the same password before"
                raise SourceBusy(f"{text}; it is asked once more") from error
            except LegacyError as error:
                raise source_error(error) from error
            doubted = False
            return source

        return reopen

    def hasten(self, errand: Errand) -> None:
        """A user waits for this errand from now on."""
        self.host_of(errand.domain).schedule.hasten(errand)

    def stop(self) -> None:
        """Make no more connections, and have nobody wait for one."""
        for host in self.hosts:
            host.schedule.stop()
            if host.bandwidth is not None:
                host.bandwidth.stop()
        for entering in list(self._entering):
            entering.cancel()


class _Attempt:
    """One attempt to get in."""

    def __init__(self, server: LegacyServer, name: Name, user: bytes, errand: Errand, asked: float, tries: int) -> None:
        self.server = server
        self.name = name
        self.user = user  # what it is called there
        self.errand = errand
        self.asked = asked  # since when it is waited for
        self.tries = tries  # before this one
        self.greeted: Name | None = None  # whose attempt it is, once the server has greeted
        self.busy = Busy.NOBODY


def _worth_waiting(attempt: _Attempt, error: LegacyError) -> float | None:
    """After how many seconds it is to be tried again for a user who waits; None: the error is the answer."""
    if attempt.errand.urgency is not Urgency.HELD:
        return None
    host = attempt.server.host
    if isinstance(error, MaildropInUse):
        return IN_USE_PAUSE if host.lingers(attempt.name) else None
    if isinstance(error, LegacyBusy) and error.code == "LOGIN-DELAY":
        return float(host.login_delay)
    if attempt.busy is Busy.NOBODY:
        return None
    if not attempt.tries:
        return 0.0  # the schedule lets nobody in for a while
    return min(LONGEST_WAIT, 2.0**attempt.tries)


def name_of(account: Account) -> Name:
    return Name(account.local, account.domain)
