"""All accounts that were asked for, several at a time: so many as their legacy server's `connections` allow.

Memory is bounded by messages, not by accounts: a mailbox costs some 1,600 octets a message while it is compared, so
no more than ROOM messages are compared at once, however many connections there are.

A server that does not answer for SILENT accounts in a row is not waited for by all the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.python.failure import Failure

from mailstore.accounts import Account
from proxy.admin.verify.account import Check, Progress, Surroundings
from proxy.admin.verify.kinds import Finding, Kind
from proxy.admin.verify.outcome import AccountOutcome
from proxy.admin.verify.passwords import Passwords
from proxy.config import Config, Domain
from proxy.migration.places import Places
from proxy.wire.faults import kind, where

ROOM: Final = 300_000  # messages
SILENT: Final = 3

More = Callable[[], Awaitable[Sequence[Account]]]  # the next accounts; none: that were all
Keep = Callable[[AccountOutcome], Awaitable[None]]


class Told(Protocol):
    """Who is told how far it is."""

    def began(self, account: str) -> None: ...

    def progress(self, account: str, progress: Progress) -> None: ...

    def ended(self, outcome: AccountOutcome) -> None: ...


class Room:
    """For so many at once; first come, first served. Who needs more than there is gets all of it."""

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._waiting: deque[tuple[int, Deferred[None]]] = deque()

    def enter(self, wanted: int) -> Deferred[Callable[[], None]]:
        """A Deferred of what gives the room back, to be called once."""
        wanted = min(wanted, self._size)
        turn: Deferred[None] = Deferred()
        self._waiting.append((wanted, turn))

        def leave() -> None:
            self._free += wanted
            self._let_in()

        entered = turn.addCallback(lambda _: leave)
        self._let_in()
        return entered

    def _let_in(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            wanted, turn = self._waiting.popleft()
            self._free -= wanted
            turn.callback(None)


class _Host:
    """One legacy server, whose domains may be several, and the accounts that are still to be compared with it."""

    def __init__(self, connections: int, more: More | None = None) -> None:
        self.connections = connections
        self.accounts: deque[Account] = deque()
        self.silent = 0  # accounts in a row for which it did not answer
        self.said = ""
        self._more = more
        self._turn = Places()

    async def next(self) -> Account | None:
        """None: that were all."""
        while not self.accounts and self._more is not None:
            await self._turn.take()
            try:
                if not self.accounts and self._more is not None:
                    self.accounts.extend(await self._more())
                    self._more = self._more if self.accounts else None
            finally:
                self._turn.leave()
        return self.accounts.popleft() if self.accounts else None

    def heard(self, check: Check, outcome: AccountOutcome) -> None:
        if check.silent:
            self.silent += 1
            self.said = outcome.not_compared
        elif outcome.listed is not None:
            self.silent = 0


def connections_for(domain: Domain, wanted: int | None, *, daemon: bool) -> int:
    """How many verify may have: all that the configuration allows, or half of them beside a daemon, whose logins come
    first. `wanted` is the administrator's own number."""
    most = domain.legacy.connections
    if wanted is not None:
        return min(wanted, most)
    return max(1, most // 2) if daemon else most


class Run:
    """One verification. `run` once."""

    def __init__(
        self,
        config: Config,
        passwords: Passwords,
        around: Surroundings,
        told: Told,
        *,
        connections: Mapping[str, int],
    ) -> None:
        """`connections` are by domain."""
        self._config = config
        self._passwords = passwords
        self._around = around
        self._told = told
        self._connections = connections
        self._room = Room(ROOM)

    async def run(self, accounts: Sequence[Account]) -> list[AccountOutcome]:
        """By name. The accounts' domains are those of the configuration. Who cancels it ends it: no other account is
        begun."""
        hosts: dict[tuple[str, int], _Host] = {}
        for account in accounts:
            legacy = self._config.domains[account.domain].legacy
            host = hosts.setdefault((legacy.host, legacy.port), _Host(self._connections[account.domain]))
            host.connections = min(host.connections, self._connections[account.domain])
            host.accounts.append(account)
        done: dict[str, AccountOutcome] = {}

        async def keep(outcome: AccountOutcome) -> None:
            done[outcome.account] = outcome

        await _all(
            self._work(host, keep) for host in hosts.values() for _ in range(min(host.connections, len(host.accounts)))
        )
        return [done[account.name] for account in sorted(accounts, key=lambda a: (a.domain, a.local))]

    async def through(self, domain: str, more: More, keep: Keep) -> None:
        """The accounts of one domain as `more` gives them, each read when its turn is near; `keep` what is found."""
        host = _Host(self._connections[domain], more)
        await _all(self._work(host, keep) for _ in range(host.connections))

    async def _work(self, host: _Host, keep: Keep) -> None:
        while (account := await host.next()) is not None:
            leave = await self._room.enter(max(1, account.messages_total))
            try:
                await keep(await self._check(host, account))
            finally:
                leave()

    async def _check(self, host: _Host, account: Account) -> AccountOutcome:
        name = account.name
        self._told.began(name)
        password = self._passwords.of(account)
        if host.silent >= SILENT:
            password = f"{host.said} (so it was for {SILENT} accounts in a row; this one was not tried)"
        maildir = self._config.maildir_for(account.local, account.domain)
        check = Check(account, maildir, password, self._around, lambda progress: self._told.progress(name, progress))
        try:
            outcome = await check.run()
        except CancelledError:  # whoever wanted it does not any more
            raise
        except Exception:  # noqa: BLE001  the one place: what nobody expected of one account is told as that account's
            failure = Failure()  # type: ignore[no-untyped-call]
            outcome = AccountOutcome(name, account.domain, account.state.value)
            outcome.found(Finding(Kind.UNREADABLE, f"verify itself failed: {kind(failure)} at {where(failure)}"))
        host.heard(check, outcome)
        self._told.ended(outcome)
        return outcome


async def _all(works: Iterable[Coroutine[Deferred[Any], Any, None]]) -> None:
    """To their ends. Where one fails, none goes on."""
    running = [Deferred.fromCoroutine(work) for work in works]
    try:
        await gatherResults(running, consumeErrors=True)
    except FirstError as error:  # of who is told how far it is: of an account it would be that account's
        for one in running:
            one.cancel()
        raise cast(Exception, error.subFailure.value) from None
