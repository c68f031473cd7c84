"""Accounts held against their legacy servers, on the reactor that runs: for `verify`, and for `finalize`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore

from mailstore.accounts import Account
from mailstore.entries import Entry, Listed
from mailstore.opening import Mailboxes
from mailstore.opening import mailboxes as beside_the_maildirs
from proxy.admin.verify.account import Surroundings
from proxy.admin.verify.asking import Door
from proxy.admin.verify.outcome import AccountOutcome
from proxy.admin.verify.passwords import Passwords
from proxy.admin.verify.run import Keep, More, Run, Told, connections_for
from proxy.admin.verify.sample import How
from proxy.config import Config
from proxy.login.legacy import LegacyDoor
from proxy.login.names import Name
from proxy.migration.schedule import Errand, Urgency
from proxy.migration.source import GaveWay, Receiver, Source, SourceLost
from proxy.wire.door import Secret
from proxy.wire.in_thread import InThread

T = TypeVar("T")

THREADS: Final = 2  # of the daemon's that comparisons may have at once: logins need some, too


async def compare(
    config: Config,
    accounts: Sequence[Account],
    passwords: Passwords,
    how: How,
    told: Told,
    *,
    door: Door,
    in_thread: InThread,
    reactor: Any,
    daemon: bool,
    connections: int | None = None,
    mailboxes: Mailboxes | None = None,
) -> list[AccountOutcome]:
    """By name. `daemon`: is one at work, whose logins come first? `connections`: the administrator's own number.
    `mailboxes`: where the indexes are, if not beside the Maildirs."""
    around = Surroundings(how, door, reactor, in_thread, daemon, mailboxes or beside_the_maildirs())
    domains = {account.domain for account in accounts}
    most = {name: connections_for(config.domains[name], connections, daemon=daemon) for name in domains}
    return await Run(config, passwords, around, told, connections=most).run(accounts)


async def compare_each(
    config: Config,
    domain: str,
    more: More,
    passwords: Passwords,
    how: How,
    told: Told,
    keep: Keep,
    *,
    door: Door,
    in_thread: InThread,
    reactor: Any,
    mailboxes: Mailboxes | None = None,
) -> None:
    """In a daemon, accounts of one domain, however many: as `more` gives them, and `keep` takes what is found."""
    around = Surroundings(how, door, reactor, in_thread, True, mailboxes or beside_the_maildirs())
    most = {domain: connections_for(config.domains[domain], None, daemon=True)}
    await Run(config, passwords, around, told, connections=most).through(domain, more, keep)


def own_door(config: Config, accounts: Sequence[Account], reactor: Any) -> LegacyDoor:
    """Of a process that has none yet."""
    logins = {(account.local, account.domain): account.legacy_login for account in accounts}

    async def login(local: str, domain: str) -> str:
        return logins.get((local, domain), "")

    return LegacyDoor(config, reactor, logins=login)


class DaemonsDoor:
    """A `Door`: the daemon's, within the limits of its moves and logins, and behind those that users wait for."""

    def __init__(self, door: LegacyDoor) -> None:
        self._door = door

    async def open(self, name: Name, password: Secret) -> Lent:
        """Raises LegacyError, MailstoreError."""
        lent = Lent()
        errand = Errand(name.domain, Urgency.ASKED, lent.give_back)
        lent.source = await self._door.open(name, password, errand)
        return lent


class Lent:
    """A source (`Opened`) that is given back when a user waits for its connection: what it is at raises GaveWay."""

    def __init__(self) -> None:
        self.source: Source | None = None
        self._wanted = False

    def give_back(self) -> None:
        """A user waits."""
        self._wanted = True
        if self.source is not None:
            self.source.abort()

    def _lent(self) -> Source:
        assert self.source is not None
        if self._wanted:
            self.source.abort()
            raise GaveWay("a user waited for the connection")
        return self.source

    async def list(self) -> Sequence[Listed]:
        """Raises SourceError."""
        try:
            return await self._lent().list()
        except SourceLost as error:
            raise self._why(error) from error

    async def fetch(self, wanted: Sequence[tuple[int, Entry]], receiver: Receiver) -> None:
        """Raises SourceError."""
        try:
            await self._lent().fetch(wanted, receiver)
        except SourceLost as error:
            raise self._why(error) from error

    def _why(self, error: SourceLost) -> SourceLost:
        return GaveWay("a user waited for the connection", error.entry) if self._wanted else error

    async def close(self) -> None:
        if self.source is not None:
            await self.source.close()

    def abort(self) -> None:
        if self.source is not None:
            self.source.abort()


class Few:
    """A daemon's threads, for comparisons: not all of them at once."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._places = DeferredSemaphore(THREADS)

    def run(self, function: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """See `InThread`."""
        return self._places.run(self._in_thread, function, *arguments)
