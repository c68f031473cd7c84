"""`mailferry status` on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mailstore.accounts import Account, State
from proxy.admin.overview import DomainView
from proxy.admin.proving import line_of
from proxy.cli.curve import columns, drawn
from proxy.cli.outlook import department_lines, pace_lines
from proxy.cli.report import MOST_TROUBLES, Report, remark
from proxy.config.sizes import size

_COLOURS = {State.MOVING: "cyan", State.MOVED: "green", State.FINAL: "green", State.BLOCKED: "red"}


_WIDTH, _HEIGHT = 60, 3  # characters of a curve


def render(found: Report, *, with_accounts: bool, curves: bool = False) -> RenderableType:
    """The domains, and below them the accounts."""
    parts: list[RenderableType] = [_domains(found)]
    parts += [Text(line, style="cyan") for line in pace_lines(found.views)]
    if found.drain is not None:
        parts.append(Text(found.drain.line(), style="yellow"))
    parts += [Text(line, style="yellow") for line in found.pauses()]
    parts += [Text(line_of(each), style="green" if each.proven else "yellow") for each in found.standings]
    if curves:
        parts += [line for view in found.views for line in _curve(view)]
    parts += [Text(line) for line in department_lines(found.departments)]
    if found.accounts:
        parts += [Text(), _accounts(found)]
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


def _curve(view: DomainView) -> Sequence[RenderableType]:
    """How much mail was here, from the first sample to now."""
    lines = drawn(columns(view.samples, _WIDTH), _HEIGHT)
    if not lines:
        return ()
    first, last = view.samples[0], view.samples[-1]
    begin = f"{datetime.fromtimestamp(first.taken):%H:%M}"  # the time of whoever looks
    foot = f"{begin} {size(first.bytes)}".ljust(_WIDTH - 8) + f"now {size(last.bytes)}"
    return Text(), *(Text(line, style="green") for line in lines), Text(f"{foot}  {view.name}", style="dim")


def _accounts(found: Report) -> Table:
    table = Table("account", "state", box=None, header_style="bold")
    table.add_column("messages", justify="right")
    table.add_column("mail", justify="right")
    table.add_column("reason")
    for account in found.accounts:
        table.add_row(
            Text(account.name),
            Text(account.state.value, style=_COLOURS.get(account.state, "")),
            f"{account.messages_done:,} of {account.messages_total:,}",
            f"{size(account.bytes_done)} of {size(account.bytes_total)}",
            _said(found, account),
        )
    return table


def _said(found: Report, account: Account) -> Text:
    """The reason, and below it what helps."""
    text = Text(remark(account))
    if remedy := found.remedy(account):
        text.append(f"\n{remedy}" if text else remedy, style="dim")
    return text
