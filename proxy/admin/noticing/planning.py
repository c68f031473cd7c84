"""What sending a notice or a reminder would come to, before anybody says yes: who is meant, and what is lacking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from mailstore.accounts import Account, State
from mailstore.database import AccountsDatabase
from mailstore.notices import Notices, Recipient, Standing
from mailstore.overview import Overview, Wanted
from mailstore.told import Told
from proxy.admin.noticing.sending import is_wanted
from proxy.admin.noticing.texts import Kind
from proxy.config import Config

NAMED: Final = 10  # accounts that a plan names
_LOOKED_AT: Final = 500  # for them, of a whole domain


@dataclass(frozen=True, slots=True)
class Lack:
    """A key that the configuration has to have, and a line that would be right."""

    table: str
    key: str
    line: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}"


def missing(config: Config, domains: Iterable[str]) -> list[Lack]:
    """What the configuration lacks for these domains' users to be told anything."""
    names = list(domains)
    of = names[0] if names else next(iter(config.domains))
    found = []
    if config.notices.sender is None:
        found.append(Lack("[notices]", "sender", f'sender = "IT help desk <it@{of}>"'))
    for name in names:
        if not config.domains[name].contact:
            line = f'contact = "the IT help desk, it@{name}, telephone …"'
            found.append(Lack(f'[domain."{name}"]', "contact", line))
    return found


def is_newcomer(account: Account) -> bool:
    """Has the user never logged in here, and may yet be asked to?"""
    return account.last_login is None and is_meant("notice", account)


def is_meant(kind: Kind, account: Account) -> bool:
    """May the user be told this at all? Those that are final have nothing to be told any more, and those who have
    logged in need no reminder."""
    return account.state is not State.FINAL and (kind == "notice" or account.last_login is None)


@dataclass(slots=True)
class Plan:
    """What an order would come to. Of accounts the first NAMED are here; of all, no more than their numbers."""

    mark: int
    count: int = 0  # who would be sent it
    numbers: list[int] = field(default_factory=list)  # of those; empty where it is only foreseen
    first: list[Account] = field(default_factory=list)
    domains: set[str] = field(default_factory=set)
    had: int = 0  # who have had it
    unknown: int = 0  # of whom that is not known
    unknown_names: list[str] = field(default_factory=list)
    passed_over: int = 0  # who are not meant, or of no domain that is served

    def add(self, recipient: Recipient, *, again: bool) -> None:
        account = recipient.account
        if is_wanted(recipient, again=again):
            self.count += 1
            self.numbers.append(account.id)
            self.domains.add(account.domain)
            if len(self.first) < NAMED:
                self.first.append(account)
        elif recipient.standing is Standing.SENT:
            self.had += 1
        else:
            self.unknown += 1
            if len(self.unknown_names) < NAMED:
                self.unknown_names.append(account.name)


def plan(
    config: Config,
    database: AccountsDatabase,
    accounts: Iterable[Account],
    *,
    kind: Kind,
    since: int,
    again: bool,
    domain: str = "",
) -> Plan:
    """Who of these would be sent it; with `domain` those of that one alone. Raises MailstoreError."""
    notices = Notices(database)
    found = Plan(notices.mark())
    domains = {domain} if domain else config.domains

    def fitting() -> Iterator[Account]:
        for account in accounts:
            if is_meant(kind, account) and account.domain in domains:
                yield account
            else:
                found.passed_over += 1

    for recipient in notices.of(fitting(), kind, since):
        found.add(recipient, again=again)
    return found


def foresee(database: AccountsDatabase, wanted: Wanted, *, again: bool) -> Plan:
    """What `plan` would find for a notice to a whole domain or department, by the figures that are kept of it: of
    accounts no more are read than are named. Raises MailstoreError."""
    found = Plan(Notices(database).mark())
    told = Told(database)
    tally = told.tally(wanted, "notice")
    found.count, found.passed_over = tally.none + tally.refused, tally.final
    if again:
        found.count = tally.accounts
    else:
        found.had, found.unknown = tally.sent, tally.unknown
        some = told.page(wanted, "notice", Standing.UNKNOWN, NAMED)
        found.unknown_names = [recipient.account.name for recipient in some]
    if found.count:
        found.first = _first(database, wanted, again=again)[:NAMED]
        found.domains = {account.domain for account in found.first}
    return found


def _first(database: AccountsDatabase, wanted: Wanted, *, again: bool) -> list[Account]:
    """Some of those who would be sent it."""
    notices = Notices(database)
    for accounts in leading(Overview(database), wanted, _LOOKED_AT):
        meant = (account for account in accounts if is_meant("notice", account))
        found = [one.account for one in notices.of(meant, "notice") if is_wanted(one, again=again)]
        if found:
            return found
    return []


def leading(overview: Overview, wanted: Wanted, count: int) -> Iterator[Sequence[Account]]:
    """The first accounts; and, for whoever does not find there what is looked for, the first of each state: there may
    be ever so many who are final before them. Raises MailstoreError."""
    first = overview.page(wanted, count)
    yield first.accounts
    if first.behind and wanted.state is None:
        states = [replace(wanted, state=state) for state in State if state is not State.FINAL]
        some = chain.from_iterable(overview.page(each, count).accounts for each in states)
        yield sorted(some, key=lambda account: (account.domain, account.local))
