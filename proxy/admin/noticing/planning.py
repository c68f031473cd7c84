"""What sending a notice or a reminder would come to, before anybody says yes: who is meant, and what is lacking."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from mailstore.accounts import Account, State
from mailstore.database import AccountsDatabase
from mailstore.notices import Notices, Recipient, Standing
from proxy.admin.noticing.sending import is_wanted
from proxy.admin.noticing.texts import Kind
from proxy.config import Config

NAMED: Final = 10  # accounts that a plan names


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
    numbers: list[int] = field(default_factory=list)  # of those who would be sent it
    first: list[Account] = field(default_factory=list)
    domains: set[str] = field(default_factory=set)
    had: int = 0  # who have had it
    unknown: int = 0  # of whom that is not known
    unknown_names: list[str] = field(default_factory=list)
    passed_over: int = 0  # who are not meant, or of no domain that is served

    def add(self, recipient: Recipient, *, again: bool) -> None:
        account = recipient.account
        if is_wanted(recipient, again=again):
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
