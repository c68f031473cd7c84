"""How `migrate` shows what it watches: a live screen on a terminal, plain lines in a pipe, JSON lines for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final, Protocol

import click

from mailstore.accounts import Account
from proxy.admin.watch import Ended, Progress
from proxy.config.sizes import size

LINES_SECONDS: Final = 10.0  # between two lines that say how far it is
MOST_NAMED: Final = 20  # accounts that a terminal names of those that are not here

Unready = Sequence[tuple[str, str]]


class Showing(Protocol):
    """One run."""

    def begin(self, accounts: int, unready: Unready, others: int) -> None:
        """So many are moved; these are not, and why; so many more of the domains are not asked for."""

    def progress(self, progress: Progress) -> None: ...

    def say(self, text: str) -> None:
        """Something that matters now."""

    def end(self, *, over: bool) -> bool:
        """There is no more to come. Is all of it here?"""


def showing(*, as_json: bool) -> Showing:
    """As standard output wants it."""
    if as_json:
        return JsonLines()
    if sys.stdout.isatty():
        from proxy.cli.screen import Screen  # noqa: PLC0415 - rich, only where there is a terminal

        return Screen()
    return Lines()


class Counting:
    """What all of them know at the end."""

    def __init__(self) -> None:
        self.last: Progress | None = None
        self.unready: Unready = ()

    @property
    def accounts(self) -> int:
        return len(self.unready) + (self.last.accounts if self.last else 0)

    @property
    def here(self) -> int:
        return self.last.here if self.last else 0


class Silent(Counting):
    """For what shows something else."""

    def begin(self, accounts: int, unready: Unready, others: int) -> None:
        self.unready = unready

    def progress(self, progress: Progress) -> None:
        self.last = progress

    def say(self, text: str) -> None:
        click.echo(f"mailferry: {text}", err=True)

    def end(self, *, over: bool) -> bool:
        return self.here == self.accounts


class Lines(Counting):
    """For a pipe."""

    def __init__(self) -> None:
        super().__init__()
        self._said = 0.0

    def begin(self, accounts: int, unready: Unready, others: int) -> None:
        self.unready = unready
        for name, why in unready:
            click.echo(f"{name}  not here  {why}")
        if others:
            click.echo(others_line(others))
        sys.stdout.flush()

    def progress(self, progress: Progress) -> None:
        self.last = progress
        for ended in progress.ended:
            click.echo(ended_line(ended))
        if progress.elapsed - self._said >= LINES_SECONDS and not progress.over:
            self._said = progress.elapsed
            click.echo(progress_line(progress))
        sys.stdout.flush()

    def say(self, text: str) -> None:
        click.echo(f"mailferry: {text}", err=True)

    def end(self, *, over: bool) -> bool:
        click.echo(here_line(self.here, self.accounts))
        return self.here == self.accounts


class JsonLines(Counting):
    """For programs: objects with `event`: account, progress, said, end."""

    def begin(self, accounts: int, unready: Unready, others: int) -> None:
        self.unready = unready
        for name, why in unready:
            self._put("account", account=name, here=False, reason=why)

    def progress(self, progress: Progress) -> None:
        self.last = progress
        for ended in progress.ended:
            account = ended.account
            self._put(
                "account",
                account=account.name,
                here=not ended.why,
                reason=ended.why,
                state=account.state.value,
                messages_done=account.messages_done,
                messages_total=account.messages_total,
                bytes_done=account.bytes_done,
                bytes_total=account.bytes_total,
            )
        self._put(
            "progress",
            accounts=progress.accounts,
            here=progress.here,
            not_here=progress.not_here,
            under_way=[account.name for account in progress.under_way],
            messages=progress.messages,
            bytes=progress.octets,
            bytes_per_second=round(progress.rate),
            seconds=round(progress.elapsed, 1),
            seconds_left=None if progress.left is None else round(progress.left),
        )
        sys.stdout.flush()

    def say(self, text: str) -> None:
        self._put("said", text=text)

    def end(self, *, over: bool) -> bool:
        self._put("end", over=over, here=self.here, accounts=self.accounts)
        return self.here == self.accounts

    def _put(self, event: str, **fields: Any) -> None:
        click.echo(json.dumps({"event": event, **fields}, ensure_ascii=False))


def here_line(here: int, accounts: int) -> str:
    return f"{here:,} of {accounts:,} accounts are here" if accounts else "there is nothing to be moved or tried again"


def others_line(others: int) -> str:
    accounts = "1 more account is" if others == 1 else f"{others} more accounts are"
    return f"{accounts} not asked for: final, paused, or without a password that is known"


def ended_line(ended: Ended) -> str:
    return (
        f"{ended.account.name}  not here  {ended.why}"
        if ended.why
        else f"{ended.account.name}  here  {amount(ended.account)}"
    )


def amount(account: Account) -> str:
    return f"messages {account.messages_done}  bytes {size(account.bytes_done)}"


def progress_line(progress: Progress) -> str:
    left = "" if progress.left is None else f"  {spelled(progress.left)} left"
    return (
        f"{progress.done} of {progress.accounts} accounts  under way {len(progress.under_way)}  "
        f"messages {progress.messages}  bytes {size(progress.octets)}  {size(round(progress.rate))}/s{left}"
    )


def spelled(seconds: float) -> str:
    """90 is "1m30s", 7300 is "2h01m"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"
