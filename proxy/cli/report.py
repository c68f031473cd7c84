"""What `mailferry status` has found: figures for each domain and, where asked for, each account.

The JSON shapes are part of the command line's contract (DESIGN.md, "The command line").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Literal

from mailstore.accounts import Account, Accounts, State, Totals
from proxy.admin.proving import Standing, line_of
from proxy.admin.proving import as_json as proven_json

Wanted = Literal["none", "troubled", "all"]  # which accounts are listed
MOST_TROUBLES: Final = 20  # accounts that are under way or failed, listed without being asked for


@dataclass(frozen=True, slots=True)
class Report:
    """`accounts` are all of them, or those that are under way or failed."""

    domains: Mapping[str, Totals]
    accounts: Sequence[Account]
    paused: Mapping[str, int] = field(default_factory=dict)  # domains, and since when (seconds since 1970)
    standings: Sequence[Standing] = ()  # has a test account's move been verified, of each domain that is served?

    def as_json(self, *, with_accounts: bool) -> dict[str, Any]:
        """As `--json` prints it; `paused_domains` and `proven` are there where there are any."""
        found: dict[str, Any] = {"domains": {name: asdict(totals) for name, totals in self.domains.items()}}
        if self.paused:
            found["paused_domains"] = {name: _iso(since) for name, since in self.paused.items()}
        if proven := proven_json(self.standings):
            found["proven"] = proven
        if with_accounts:
            found["accounts"] = [self._account_json(account) for account in self.accounts]
        return found

    def _account_json(self, account: Account) -> dict[str, Any]:
        found = account_json(account)
        found["paused"] = account.paused or account.domain in self.paused
        return found

    def lines(self, *, with_accounts: bool) -> Iterator[str]:
        """As a pipe gets it: a line a domain, then a line for each account."""
        for name, totals in self.domains.items():
            figures = asdict(totals)
            figures["bytes"] = size(figures["bytes"])
            yield f"{name}  " + "  ".join(f"{key} {value}" for key, value in figures.items())
        yield from self.pauses()
        yield from self.proofs()
        for account in self.accounts:
            yield account_line(account)
        if not with_accounts and len(self.accounts) >= MOST_TROUBLES:
            yield "more with --accounts"

    def pauses(self) -> Iterator[str]:
        """A line for each domain that is paused."""
        for name, since in self.paused.items():
            yield f"{name} is paused since {_iso(since)}: its legacy server is not asked; mailferry resume {name}"

    def proofs(self) -> Iterator[str]:
        """A line for each domain."""
        return map(line_of, self.standings)


def report(
    configured: Sequence[str],
    accounts: Accounts | None,
    only: str | None,
    wanted: Wanted,
    paused: Mapping[str, int] | None = None,
    standings: Mapping[str, Standing] | None = None,
) -> Report:
    """Look. `accounts` is None before the daemon's first start; `paused` are the domains that are, and since when;
    `standings` are by domain. Raises MailstoreError."""
    totals = accounts.totals() if accounts is not None else {}
    names = [only] if only is not None else sorted({*configured, *totals})
    domains = {name: totals.get(name, Totals()) for name in names}
    listed: Iterator[Account] = iter(())
    if accounts is not None and wanted != "none":
        listed = accounts.list(only)
    if wanted == "troubled":
        listed = islice(filter(_troubled, listed), MOST_TROUBLES)
    closed = {name: since for name, since in (paused or {}).items() if name in domains}
    return Report(domains, list(listed), closed, [stands for n, stands in (standings or {}).items() if n in domains])


def _troubled(account: Account) -> bool:
    """Is there something to say about it: under way, failed, or here with a warning?"""
    return account.state in {State.MOVING, State.BLOCKED} or bool(account.reason) or account.paused


def account_json(account: Account) -> dict[str, Any]:
    """One account; times in ISO 8601, UTC. `next_try` is when it is looked after by itself, null if it is not to be,
    or is just now."""
    return {
        "account": account.name,
        "state": account.state.value,
        "reason": account.reason,
        "messages_done": account.messages_done,
        "messages_total": account.messages_total,
        "bytes_done": account.bytes_done,
        "bytes_total": account.bytes_total,
        "last_login": _iso(account.last_login),
        "paused": account.paused,
        "next_try": _iso(account.due),
    }


def _iso(seconds: int | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def remark(account: Account) -> str:
    """What there is to say about it: why it is not further on, and what happens next."""
    said = [account.reason] if account.reason else []
    if account.state is State.FINAL and account.password_hash is None:
        said.append("nobody has a password for it: `mailferry accounts passwd` sets one")
    if account.paused:
        said.append("paused")
    elif account.due is not None and (account.tries or account.state is State.MOVING):
        said.append(f"next try {_iso(account.due)}")
    return "; ".join(said)


def account_line(account: Account) -> str:
    """One account for a pipe."""
    done = f"messages {account.messages_done} of {account.messages_total}"
    octets = f"bytes {size(account.bytes_done)} of {size(account.bytes_total)}"
    said = remark(account)
    return f"{account.name}  {account.state.value}  {done}  {octets}" + (f"  {said}" if said else "")


def size(octets: int) -> str:
    """1234567 is "1.2 MB"."""
    value = float(octets)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
