"""`mailferry migrate` on a terminal: a bar for all of it, the accounts that are under way, and what failed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mailstore.accounts import Account
from proxy.admin.watch import Progress
from proxy.cli.showing import MOST_NAMED, Counting, Unready, here_line, others_line, spelled
from proxy.config.sizes import size

MOST_UNDER_WAY = 15  # accounts that are shown one by one


class Screen(Counting):
    """A `proxy.cli.showing.Showing`."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._failed: list[tuple[str, str]] = []

    def begin(self, accounts: int, unready: Unready, others: int) -> None:
        self.unready = unready
        self._failed += unready
        if others:
            self._console.print(Text(others_line(others), style="dim"))
        if accounts:
            self._live.start()

    def progress(self, progress: Progress) -> None:
        self.last = progress
        self._failed += [(ended.account.name, ended.why) for ended in progress.ended if ended.why]
        self._live.update(render(progress, len(self._failed)), refresh=True)

    def say(self, text: str) -> None:
        self._live.stop()
        self._console.print(Text(text, style="yellow"))

    def end(self, *, over: bool) -> bool:
        self._live.stop()
        whole = self.here == self.accounts
        if self.last is not None:
            self._console.print(
                Text(
                    f"{self.last.messages:,} messages, {size(self.last.octets)} in {spelled(self.last.elapsed)}",
                    style="dim",
                )
            )
        self._console.print(Text(here_line(self.here, self.accounts), style="green" if whole else ""))
        if self._failed:
            self._console.print(_failures(self._failed))
        return whole


def render(progress: Progress, failed: int) -> RenderableType:
    """The live part."""
    left = "" if progress.left is None else f"about {spelled(progress.left)} left"
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(f"{progress.done:,} of {progress.accounts:,} accounts", style="bold"),
        ProgressBar(total=max(progress.accounts, 1), completed=progress.done, width=40),
        Text(left),
    )
    figures = Text(
        f"{progress.messages:,} messages   {size(progress.octets)}   {size(round(progress.rate))}/s   "
        f"{spelled(progress.elapsed)}"
    )
    if failed:
        figures.append(f"   {failed:,} not here", style="red")
    parts: list[RenderableType] = [head, figures]
    if progress.under_way:
        parts += [Text(), _under_way(progress.under_way[:MOST_UNDER_WAY])]
        if len(progress.under_way) > MOST_UNDER_WAY:
            parts.append(Text(f"and {len(progress.under_way) - MOST_UNDER_WAY} more under way", style="dim"))
    return Group(*parts)


def _under_way(accounts: Sequence[Account]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=24)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right")
    for account in accounts:
        listed = account.messages_total > 0
        table.add_row(
            Text(account.name, style="cyan"),
            ProgressBar(total=max(account.messages_total, 1), completed=account.messages_done, width=24),
            Text(f"{account.messages_done:,} of {account.messages_total:,}" if listed else "being listed"),
            Text(f"{size(account.bytes_done)} of {size(account.bytes_total)}" if listed else ""),
        )
    return table


def _failures(failed: list[tuple[str, str]]) -> RenderableType:
    table = Table("not here", "why", box=None, header_style="bold")
    for name, why in failed[:MOST_NAMED]:
        table.add_row(Text(name), Text(why))
    if len(failed) <= MOST_NAMED:
        return table
    return Group(table, Text(f"and {len(failed) - MOST_NAMED:,} more: see mailferry status --accounts", style="dim"))
