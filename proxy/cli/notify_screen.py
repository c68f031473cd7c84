"""What `mailferry notify` shows: what would be sent, and how the sending goes."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from types import FrameType
from typing import Any, Final, Self

import click

from mailstore.accounts import Account
from mailstore.notices import Recipient
from proxy.admin.noticing.facts import Facts, When
from proxy.admin.noticing.sending import Standings
from proxy.admin.noticing.texts import BadTemplate, Texts
from proxy.admin.verify.columns import printable
from proxy.cli.options import give_up

MOST_NAMED: Final = 20  # accounts that are named of each kind
_LANGUAGES: Final = {"zh": "Chinese", "en": "English"}
_ONCE_MORE: Final = {
    "notice": " (--again sends it once more)",
    "reminder": " (--since 7d: once more to those who had it longer ago than that; --again: to all)",
}
_NAP: Final = 0.2  # seconds after which a signal is noticed


class Patience:
    """A `proxy.admin.noticing.sending.Waiting`. Ctrl-C and SIGTERM end the run after the message that is under way."""

    def __init__(self) -> None:
        self._ended = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._end)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ended = True

    def now(self) -> datetime:
        return datetime.now().astimezone()

    def monotonic(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not self._ended and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _NAP))
        return not self._ended


class Quiet:
    """A `proxy.admin.noticing.sending.Told` that keeps what went wrong, and shows nothing."""

    def __init__(self) -> None:
        self.troubles: list[tuple[str, str, str]] = []  # account, outcome, the relay's words

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def sent(self, account: Account) -> None:
        pass

    def refused(self, account: Account, words: str, *, later: bool) -> None:
        if not later:
            self.troubles.append((account.name, "refused", words))

    def unknown(self, account: Account, words: str) -> None:
        self.troubles.append((account.name, "unknown", words))

    def waits(self, seconds: float, why: str) -> None:
        pass


class Lines(Quiet):
    """A line for each user."""

    def sent(self, account: Account) -> None:
        self._line(f"{account.name}  sent")

    def refused(self, account: Account, words: str, *, later: bool) -> None:
        super().refused(account, words, later=later)
        self._line(f"{account.name}  {'refused for now, tried again' if later else 'refused'}  {words}")

    def unknown(self, account: Account, words: str) -> None:
        super().unknown(account, words)
        self._line(f"{account.name}  not known  {words}; ask the user, or --again")

    def waits(self, seconds: float, why: str) -> None:
        self._line(f"waiting {seconds:.0f} s: {why}")

    def _line(self, text: str) -> None:
        click.echo(printable(text))
        sys.stdout.flush()


class Bar(Lines):
    """A bar on a terminal, and above it what went wrong."""

    def __init__(self, users: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        super().__init__()
        columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, transient=True)
        self._task = self._progress.add_task("", total=users)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def sent(self, account: Account) -> None:
        self._progress.advance(self._task)

    def refused(self, account: Account, words: str, *, later: bool) -> None:
        super().refused(account, words, later=later)
        if not later:
            self._progress.advance(self._task)

    def unknown(self, account: Account, words: str) -> None:
        super().unknown(account, words)
        self._progress.advance(self._task)

    def _line(self, text: str) -> None:
        self._progress.console.print(printable(text), markup=False, highlight=False)


def telling(users: int, *, quiet: bool) -> Quiet:
    """As standard output wants it."""
    if quiet or not users:
        return Quiet()
    return Bar(users) if sys.stdout.isatty() else Lines()


def summary(
    found: Standings,
    *,
    kind: str,
    domain: str,
    languages: Sequence[str],
    date: When | None,
    sender: str | None,
    relay: str,
    rate: int,
    texts: Texts | None,
    told: Facts | None,
) -> Iterator[str]:
    """What would be sent to how many, a line each."""
    yield f"{kind} for {domain}, in {' and '.join(_LANGUAGES[language] for language in languages)}"
    missing = "not said: --date" if kind == "notice" else "no day is named"
    yield _row("date", date.spelled("en") if date is not None else missing)
    if told is not None and kind == "notice":
        yield _row("changes", "nothing: server names stay" if told.same_names else "server names")
    yield _row("from", sender or "not said: notices.sender in the configuration")
    yield _row("by", f"{relay}, {rate} messages a minute")
    if texts is not None and told is not None:
        yield _row("templates", ", ".join(texts.files))
        yield from _subject(found.wanted, texts, told)
    yield _row("to send", str(len(found.wanted)))
    yield _row("had it", f"{len(found.had)}{_ONCE_MORE[kind] if found.had else ''}")
    yield from _named("refused before, and to be tried again", [one for one in found.wanted if one.refusal])
    yield from _named("not known whether they had it: ask them, or --again", found.unknown)


def _row(label: str, value: str) -> str:
    return printable(f"  {label:10} {value}")


def _subject(wanted: Sequence[Recipient], texts: Texts, told: Facts) -> Iterator[str]:
    if wanted:
        try:
            rendered = texts.render(told, wanted[0].account)
        except BadTemplate as error:
            raise give_up(str(error)) from None
        yield from (_row("subject", text.subject) for text in rendered)


def _named(title: str, some: Sequence[Recipient]) -> Iterator[str]:
    if not some:
        return
    yield f"  {len(some)} {title}:"
    for one in some[:MOST_NAMED]:
        yield printable(f"    {one.account.name}" + (f"  {one.refusal}" if one.refusal else ""))
    if len(some) > MOST_NAMED:
        yield f"    and {len(some) - MOST_NAMED} more: --json has them"
