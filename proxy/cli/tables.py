"""`mailferry status` on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mailstore.accounts import Account, State
from proxy.admin.proving import line_of
from proxy.cli.report import MOST_TROUBLES, Report, remark, size

_COLOURS = {State.MOVING: "cyan", State.MOVED: "green", State.FINAL: "green", State.BLOCKED: "red"}


def render(found: Report, *, with_accounts: bool) -> RenderableType:
    """The domains, and below them the accounts."""
    parts: list[RenderableType] = [_domains(found), *(Text(line, style="yellow") for line in found.pauses())]
    parts += [Text(line_of(each), style="green" if each.proven else "yellow") for each in found.standings]
    if found.accounts:
        parts += [Text(), _accounts(found.accounts)]
        if not with_accounts and len(found.accounts) >= MOST_TROUBLES:
            parts.append(Text("more with --accounts", style="dim"))
    return Group(*parts)


def _domains(found: Report) -> Table:
    table = Table("domain", box=None, header_style="bold")
    for column in ("accounts", "waiting", "moving", "moved", "final", "blocked", "messages", "mail"):
        table.add_column(column, justify="right")
    for name, t in found.domains.items():
        counts = (t.accounts, t.waiting, t.moving, t.moved, t.final, t.blocked, t.messages)
        table.add_row(Text(name), *(f"{count:,}" for count in counts), size(t.bytes))
    return table


def _accounts(accounts: Sequence[Account]) -> Table:
    table = Table("account", "state", box=None, header_style="bold")
    table.add_column("messages", justify="right")
    table.add_column("mail", justify="right")
    table.add_column("reason")
    for account in accounts:
        table.add_row(
            Text(account.name),
            Text(account.state.value, style=_COLOURS.get(account.state, "")),
            f"{account.messages_done:,} of {account.messages_total:,}",
            f"{size(account.bytes_done)} of {size(account.bytes_total)}",
            Text(remark(account)),
        )
    return table
