"""What `mailferry status` has found: figures for each domain and, where asked for, each account.

The JSON shapes are part of the command line's contract (DESIGN.md, "The command line").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Literal

from mailstore.accounts import Account, Accounts, State, Totals

Wanted = Literal["none", "troubled", "all"]  # which accounts are listed
MOST_TROUBLES: Final = 20  # accounts that are under way or failed, listed without being asked for


@dataclass(frozen=True, slots=True)
class Report:
    """`accounts` are all of them, or those that are under way or failed."""

    domains: Mapping[str, Totals]
    accounts: Sequence[Account]

    def as_json(self, *, with_accounts: bool) -> dict[str, Any]:
        """As `--json` prints it."""
        found: dict[str, Any] = {"domains": {name: asdict(totals) for name, totals in self.domains.items()}}
        if with_accounts:
            found["accounts"] = [account_json(account) for account in self.accounts]
        return found

    def lines(self, *, with_accounts: bool) -> Iterator[str]:
        """As a pipe gets it: a line a domain, then a line for each account."""
        for name, totals in self.domains.items():
            figures = asdict(totals)
            figures["bytes"] = size(figures["bytes"])
            yield f"{name}  " + "  ".join(f"{key} {value}" for key, value in figures.items())
        for account in self.accounts:
            yield account_line(account)
        if not with_accounts and len(self.accounts) >= MOST_TROUBLES:
            yield "more with --accounts"


def report(configured: Sequence[str], accounts: Accounts | None, only: str | None, wanted: Wanted) -> Report:
    """Look. `accounts` is None before the daemon's first start. Raises MailstoreError."""
    totals = accounts.totals() if accounts is not None else {}
    names = [only] if only is not None else sorted({*configured, *totals})
    domains = {name: totals.get(name, Totals()) for name in names}
    listed: Iterator[Account] = iter(())
    if accounts is not None and wanted != "none":
        listed = accounts.list(only)
    if wanted == "troubled":
        listed = islice(filter(_troubled, listed), MOST_TROUBLES)
    return Report(domains, list(listed))


def _troubled(account: Account) -> bool:
    """Is there something to say about it: under way, failed, or here with a warning?"""
    return account.state in {State.MOVING, State.BLOCKED} or bool(account.reason)


def account_json(account: Account) -> dict[str, Any]:
    """One account; `last_login` in ISO 8601, UTC."""
    login = account.last_login
    return {
        "account": account.name,
        "state": account.state.value,
        "reason": account.reason,
        "messages_done": account.messages_done,
        "messages_total": account.messages_total,
        "bytes_done": account.bytes_done,
        "bytes_total": account.bytes_total,
        "last_login": None if login is None else f"{datetime.fromtimestamp(login, UTC):%Y-%m-%dT%H:%M:%SZ}",
    }


def account_line(account: Account) -> str:
    """One account for a pipe."""
    done = f"messages {account.messages_done} of {account.messages_total}"
    octets = f"bytes {size(account.bytes_done)} of {size(account.bytes_total)}"
    return f"{account.name}  {account.state.value}  {done}  {octets}" + (
        f"  {account.reason}" if account.reason else ""
    )


def size(octets: int) -> str:
    """1234567 is "1.2 MB"."""
    value = float(octets)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
