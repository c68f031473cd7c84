"""What `mailferry status` has found: figures for each domain and, where asked for, each account.

The JSON shapes are part of the command line's contract (DESIGN.md, "The command line").
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from mailstore.accounts import Account, State
from mailstore.database import AccountsDatabase
from mailstore.figures import Totals, totals_of
from mailstore.overview import Overview, Wanted
from proxy.admin.moments import iso, iso_or_none
from proxy.admin.overview import Department, DomainView, Watching
from proxy.admin.proving import Standing, line_of
from proxy.admin.proving import as_json as proven_json
from proxy.admin.remedies import remedy_line
from proxy.cli import outlook
from proxy.cli.drained import Drain
from proxy.config.sizes import size

MOST_TROUBLES: Final = 20  # accounts that are under way or failed, listed without being asked for


@dataclass(frozen=True, slots=True)
class Report:
    """`accounts` are all of them, or those that are under way or failed."""

    domains: Mapping[str, Totals]
    accounts: Sequence[Account]
    paused: Mapping[str, int] = field(default_factory=dict)  # domains, and since when (seconds since 1970)
    views: Sequence[DomainView] = ()
    departments: Mapping[str, Sequence[Department]] = field(default_factory=dict)  # by domain, if asked for
    standings: Sequence[Standing] = ()  # has a test account's move been verified, of each domain that is served?
    drain: Drain | None = None  # of this node

    def as_json(self, *, with_accounts: bool) -> dict[str, Any]:
        """As `--json` prints it; all but `domains` is there where there is any."""
        found: dict[str, Any] = {"domains": {name: asdict(totals) for name, totals in self.domains.items()}}
        if self.drain is not None:
            found["draining"] = self.drain.as_json()
        if self.paused:
            found["paused_domains"] = {name: iso(since) for name, since in self.paused.items()}
        if proven := proven_json(self.standings):
            found["proven"] = proven
        if paces := outlook.paces_json(self.views):
            found["pace"] = paces
        if self.departments:
            found["departments"] = outlook.departments_json(self.departments)
        if with_accounts:
            found["accounts"] = [self._account_json(account) for account in self.accounts]
        return found

    def _account_json(self, account: Account) -> dict[str, Any]:
        found = account_json(account)
        found["paused"] = account.paused or account.domain in self.paused
        found["remedy"] = remedy_line(account)
        return found

    @staticmethod
    def remedy(account: Account) -> str:
        """What helps, beside the reason. A domain's pause is told with the domain."""
        return remedy_line(account, beside_reason=True)

    def lines(self, *, with_accounts: bool) -> Iterator[str]:
        """As a pipe gets it: a line a domain, then a line for each account."""
        for name, totals in self.domains.items():
            figures = asdict(totals)
            figures["bytes"] = size(figures["bytes"])
            yield f"{name}  " + "  ".join(f"{key} {value}" for key, value in figures.items())
        yield from outlook.pace_lines(self.views)
        if self.drain is not None:
            yield self.drain.line()
        yield from self.pauses()
        yield from self.proofs()
        yield from outlook.department_lines(self.departments)
        for account in self.accounts:
            yield account_line(account, self.remedy(account))
        if not with_accounts and len(self.accounts) >= MOST_TROUBLES:
            yield "more with --accounts"

    def pauses(self) -> Iterator[str]:
        """A line for each domain that is paused."""
        for name, since in self.paused.items():
            yield f"{name} is paused since {iso(since)}: its legacy server is not asked; mailferry resume {name}"

    def proofs(self) -> Iterator[str]:
        """A line for each domain."""
        return map(line_of, self.standings)


def report(
    configured: Sequence[str],
    database: AccountsDatabase | None,
    only: str | None,
    listed: Wanted | None,
    since: int | None = None,
    standings: Mapping[str, Standing] | None = None,
) -> Report:
    """Look. `database` is None before the daemon's first start; `listed` are the accounts that are told one by one, of
    the troubled ones the first; `since` is when a curve begins; `standings` are by domain. Raises MailstoreError."""
    if database is None:
        names = [only] if only is not None else sorted(configured)
        return Report({name: Totals() for name in names}, [], standings=_of(names, standings))
    watching = Watching(database)
    if only is None:
        views = watching.domains(configured, since=since)
    else:
        view = watching.one(only, since=since)
        views = [view] if only in configured or view.figures.accounts else []
    accounts: Sequence[Account] = ()
    if listed is not None:
        overview = Overview(database)
        accounts = overview.page(listed, MOST_TROUBLES).accounts if listed.troubled else list(overview.each(listed))
    departments = {}
    if listed is not None and listed.department is not None:
        departments = {view.name: outlook.within(Watching(database).departments(view.name), listed) for view in views}
    totals = {view.name: totals_of(view.figures) for view in views}
    paused = {view.name: view.paused for view in views if view.paused is not None}
    return Report(totals, accounts, paused, views, departments, _of(totals, standings))


def _of(names: Collection[str], standings: Mapping[str, Standing] | None) -> Sequence[Standing]:
    return [standing for name, standing in (standings or {}).items() if name in names]


def account_json(account: Account) -> dict[str, Any]:
    """One account; times in ISO 8601, UTC. `next_try` is when it is looked after by itself, null if it is not to be,
    or is just now; `finalized` since when it is final, null if it is not, or nobody wrote that down."""
    return {
        "account": account.name,
        "state": account.state.value,
        "reason": account.reason,
        "messages_done": account.messages_done,
        "messages_total": account.messages_total,
        "bytes_done": account.bytes_done,
        "bytes_total": account.bytes_total,
        "last_login": iso_or_none(account.last_login),
        "finalized": iso_or_none(account.finalized),
        "paused": account.paused,
        "next_try": iso_or_none(account.due),
        "full_name": account.full_name,
        "department": account.department,
    }


def remark(account: Account) -> str:
    """What there is to say about it: why it is not further on, and what happens next."""
    said = [account.reason] if account.reason else []
    if account.state is State.FINAL and account.password_hash is None:
        said.append("nobody has a password for it: `mailferry accounts passwd` sets one")
    if account.paused:
        said.append("paused")
    elif account.due is not None and (account.tries or account.state is State.MOVING):
        said.append(f"next try {iso_or_none(account.due)}")
    return "; ".join(said)


def account_line(account: Account, remedy: str = "") -> str:
    """One account for a pipe."""
    done = f"messages {account.messages_done} of {account.messages_total}"
    octets = f"bytes {size(account.bytes_done)} of {size(account.bytes_total)}"
    said = [remark(account), f"what helps: {remedy}" if remedy else ""]
    return "  ".join(filter(None, [account.name, account.state.value, done, octets, *said]))
