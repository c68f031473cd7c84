"""What `mailferry verify` shows as it works, and at the end: bars and a table on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Self

import click

from proxy.admin.verify.columns import printable
from proxy.admin.verify.kinds import Kind, Weight
from proxy.admin.verify.outcome import AccountOutcome, Verdict, Verification
from proxy.admin.verify.text import one_line

if TYPE_CHECKING:
    from proxy.admin.verify.account import Progress

SHOWN: Final = 20  # findings of an account, and accounts of a table, that are shown without being asked for
_COLOURS: Final = {
    Verdict.WHOLE: "green",
    Verdict.NOTES: "green",
    Verdict.INCOMPLETE: "red",
    Verdict.NOT_COMPARED: "yellow",
}


class Nothing:
    """Shows nothing: what is printed is for a program."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def began(self, account: str) -> None:
        pass

    def progress(self, account: str, progress: Progress) -> None:
        pass

    def ended(self, outcome: AccountOutcome) -> None:
        pass


class Lines(Nothing):
    """An account at a time, when it is done."""

    def ended(self, outcome: AccountOutcome) -> None:
        for line in account_lines(outcome):
            click.echo(line)
        sys.stdout.flush()


class Bars(Nothing):
    """One bar for all, and one for each account that is being compared."""

    def __init__(self, accounts: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

        self._bars = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), transient=True)
        self._all = self._bars.add_task("accounts", total=accounts)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._bars.stop()

    def began(self, account: str) -> None:
        self._tasks[account] = self._bars.add_task(_plain(account), total=None)

    def progress(self, account: str, progress: Progress) -> None:
        described = f"{_plain(account)}: {progress.step}"
        total = progress.total or None  # None leaves it as it was: not known
        self._bars.update(self._tasks[account], description=described, completed=progress.done, total=total)

    def ended(self, outcome: AccountOutcome) -> None:
        self._bars.remove_task(self._tasks.pop(outcome.account))
        self._bars.advance(self._all)


def _plain(account: str) -> str:
    """A name as it is, whatever rich would make of brackets in it."""
    from rich.markup import escape  # noqa: PLC0415

    return escape(printable(account))


def account_lines(outcome: AccountOutcome) -> Iterator[str]:
    """One account for a pipe, and below it what was found."""
    listed = "not asked" if outcome.listed is None else outcome.listed
    figures = f"legacy {listed}  ledger {outcome.ledger}  here {outcome.stored}  files {outcome.files}"
    yield f"{printable(outcome.account)}  {outcome.verdict}  {figures}  fetched again {outcome.contents}" + "".join(
        f"  {kind.value} {outcome.counts[kind]}" for kind in Kind if outcome.counts[kind]
    )
    yield from _details(outcome)


def _details(outcome: AccountOutcome) -> Iterator[str]:
    if outcome.not_compared:
        yield f"  not compared with the legacy server: {printable(outcome.not_compared)}"
    if outcome.under_way:
        yield f"  {outcome.under_way}"
    worst = sorted(outcome.findings, key=lambda finding: -finding.kind.weight)
    for finding in worst[:SHOWN]:
        word = "FAULT" if finding.kind.weight is Weight.FAULT else "note"
        yield printable(f"  {word}  {one_line(finding)}; {finding.kind.remedy}")
    if len(worst) > SHOWN:
        yield f"  and {len(worst) - SHOWN} more: --output FILE and --csv FILE --messages have them"


def conclusion(found: Verification) -> None:
    """The end: a table on a terminal, a line in a pipe."""
    if sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415

        Console().print(_table(found))
        for account in found.accounts:
            if account.verdict is not Verdict.WHOLE:
                click.secho(printable(account.account), bold=True)
                for line in _details(account):
                    click.echo(line)
    totals = found.totals
    counted = "".join(f"  {verdict.value} {totals.verdicts[verdict]}" for verdict in Verdict)
    click.echo(f"verdict: {totals.verdict}  accounts {totals.accounts}{counted}")


def _table(found: Verification) -> Any:
    """The accounts, those that are not whole before the others."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("account", "verdict", box=None, header_style="bold")
    for column in ("legacy", "ledger", "here", "files read", "fetched again"):
        table.add_column(column, justify="right")
    table.add_column("found")
    accounts = sorted(found.accounts, key=lambda account: account.verdict in {Verdict.WHOLE, Verdict.NOTES})
    for account in accounts[:SHOWN]:
        figures = (account.ledger, account.stored, account.files, account.contents)
        table.add_row(
            Text(printable(account.account)),
            Text(account.verdict.value, style=_COLOURS[account.verdict]),
            "–" if account.listed is None else f"{account.listed:,}",
            *(f"{figure:,}" for figure in figures),
            ", ".join(f"{account.counts[kind]:,} {kind.title}" for kind in Kind if account.counts[kind]),
        )
    if len(accounts) > SHOWN:
        table.add_row(Text(f"and {len(accounts) - SHOWN:,} more: --output FILE", style="dim"))
    return table
