"""What an administrator does for accounts that need help: try again, move now, pause, set a password.

Each takes accounts one by one or as a filter says (`mailstore.overview.Wanted`), and tells how many it was done for and
how many it could not be done for. A filter's accounts are gone through a batch at a time, so a hundred thousand of them
are no more in memory than five hundred. What is asked for here the daemon notices by itself within a second.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.proofs import Proofs
from mailstore.queue import BATCH, Queue
from mailstore.secrets import Sealer
from proxy.admin import passwords
from proxy.admin.handing import reasons
from proxy.admin.proving import standings
from proxy.config import Config
from proxy.wire.door import Secret


class Help(enum.StrEnum):
    """What can be done for many at once."""

    RETRY = "retry"
    MOVE = "move"
    PAUSE = "pause"
    RESUME = "resume"


class Hindrance(enum.StrEnum):
    """Why something cannot, or need not, be done for an account."""

    PAUSED_ALREADY = "paused_already"
    NOT_PAUSED = "not_paused"  # by itself
    FINAL = "final"
    BLOCKED = "blocked"  # "try again" lets it go on
    REJECTED = "rejected"  # the old server does not take its password
    UNKNOWN = "unknown"  # its password is not known here
    PAUSED = "paused"  # it is, or its domain
    UNPROVEN = "unproven"  # many of its domain are not moved before one account's move is verified


@dataclass(frozen=True, slots=True)
class Done:
    """How many accounts something was done for, and how many it could not be, or need not be, done for."""

    accounts: int
    left_out: int
    why: Hindrance | None = None  # of the first that was left out


class Helping:
    """Every method may be called from any thread, and raises MailstoreError."""

    def __init__(self, config: Config, database: AccountsDatabase, accounts: Accounts, sealer: Sealer) -> None:
        self._config = config
        self._accounts = accounts
        self._queue = Queue(database)
        self._proofs = Proofs(database)
        self._sealer = sealer

    def help(self, what: Help, chosen: Iterable[Account], *, filtered: bool = False, trace: str = "") -> Done:
        """Do it for all of them for whom it can be done. `filtered`: they were not named, but are what a filter finds;
        then those of a domain that is not proven (`proxy.admin.proving`) are not moved. `trace` is the act's in the
        log. Raises MailstoreError."""
        done = left_out = 0
        first: Hindrance | None = None
        paused = self._queue.paused_domains()
        unproven = self._unproven() if filtered and what is Help.MOVE else frozenset()
        for some in _batches(chosen):
            whys = [
                hindrance(what, account, domain_paused=account.domain in paused)
                or (Hindrance.UNPROVEN if account.domain in unproven else None)
                for account in some
            ]
            able = [account.id for account, why in zip(some, whys, strict=True) if not why]
            first = first or next(filter(None, whys), None)
            done += len(able)
            left_out += len(some) - len(able)
            self._apply(what, able, trace)
        return Done(done, left_out, first)

    def _unproven(self) -> frozenset[str]:
        found = standings(self._config, self._proofs)
        return frozenset(name for name, each in found.items() if not each.proven)

    def _apply(self, what: Help, ids: list[int], trace: str) -> None:
        if what in {Help.PAUSE, Help.RESUME}:
            self._queue.pause(ids, paused=what is Help.PAUSE)
        else:
            self._queue.ask(ids, again=what is Help.RETRY, trace=trace)

    def pause_domain(self, domain: str, *, paused: bool) -> None:
        """Leave the domain's old server alone, or no longer."""
        self._queue.pause_domain(domain, paused=paused)

    def set_password(self, account: Account, password: Secret, trace: str = "") -> None:
        """As `proxy.admin.passwords.give`; a password at the old server is tried with a move that is asked for now.
        Raises CannotSet."""
        passwords.give(self._accounts, self._sealer, account, password)
        if account.state not in {State.FINAL, State.BLOCKED}:
            self._queue.ask([account.id], trace=trace)

    def may_be_given(self, account: Account) -> bool:
        """Would a password be of use?"""
        return passwords.may_be_given(account, self._sealer)


def hindrance(what: Help, account: Account, *, domain_paused: bool) -> Hindrance | None:
    """None where it can be done. Of moves the same is said as by `proxy.admin.chosen.obstacle`, in its order."""
    if what is Help.PAUSE:
        return Hindrance.PAUSED_ALREADY if account.paused else None
    if what is Help.RESUME:
        return None if account.paused else Hindrance.NOT_PAUSED
    if account.state is State.FINAL:
        return Hindrance.FINAL
    if account.state is State.BLOCKED and (what is Help.MOVE or account.reason in reasons.ALL):
        return Hindrance.BLOCKED
    if account.password_state is PasswordState.REJECTED:
        return Hindrance.REJECTED
    if account.sealed_password is None:
        return Hindrance.UNKNOWN
    return Hindrance.PAUSED if account.paused or domain_paused else None


def _batches(accounts: Iterable[Account]) -> Iterator[list[Account]]:
    left = iter(accounts)
    while some := list(islice(left, BATCH)):
        yield some
