"""What `finalize` does on the command line: `proxy.admin.finishing.run`, step by step, and shown.

The last round and the comparison need Twisted's reactor, which a process has once: the one follows the other on it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from mailstore.accounts import Account, Accounts
from mailstore.database import AccountsDatabase
from proxy.admin import sealing
from proxy.admin.chosen import Chosen
from proxy.admin.filing import Filing, NotFiled
from proxy.admin.finishing import exported, filed
from proxy.admin.finishing.report import Finished
from proxy.admin.finishing.run import QUICK, Judged, Run, said
from proxy.admin.watch import Progress
from proxy.cli.carrying import CannotCarry, Carrying
from proxy.cli.finishing_screen import conclusion, left_lines
from proxy.cli.showing import Showing, Silent, showing
from proxy.config import Config
from proxy.daemon.alone import at_work


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted."""

    named: tuple[str, ...]
    dry_run: bool
    leave_behind: bool
    yes: bool
    as_json: bool


class Errand:
    """One order, once its names are understood. `run` once."""

    def __init__(self, config: Config, database: AccountsDatabase, order: Order, chosen: Chosen) -> None:
        """Raises CannotCarry, MailstoreError."""
        self._config = config
        self._database = database
        self._order = order
        self._show: Showing | None = None
        numbers = _numbers(chosen, Accounts(database))
        sealer = sealing.sealer(config)
        self._run = Run(config, database, sealer, order.named, numbers, rehearsed=order.dry_run)

    def run(self, filings: Sequence[tuple[str, Filing]]) -> str:
        """Gives back why it did not work, "" where it did. `filings`: forms of reports, and where they go. Raises
        CannotCarry, MailstoreError, NotFiled."""
        if not self._run.over() and not self._all_tried():
            return "interrupted: nothing was made final"
        judged = self._run.judge()
        accounts = judged.accounts
        self._say(left_lines(accounts, judged.to_come))
        refused, remedy, why = *self._refusal(judged), ""
        if not refused and not self._order.dry_run:
            made = self._run.end(judged)
            accounts, why = made.accounts, made.trouble
        found = self._run.finished(accounts, refused=refused, leave_behind=self._order.leave_behind)
        unkept = "" if self._order.dry_run else self._keep(found)
        for form, filing in filings:
            for piece in filed.pieces(found, form):
                filing.write(piece)
        if self._order.as_json:
            click.echo(json.dumps(exported.as_json(found), ensure_ascii=False))
        self._say(conclusion(found))
        if refused:
            why = f"{refused}; nothing was made final{remedy}"
        return "; ".join(filter(None, (why, unkept)))

    def _keep(self, found: Finished) -> str:
        """Why the report is not kept with the others; "" where it is."""
        try:
            filed.keep(self._config.state, found)
        except NotFiled as error:
            return f"the report is not kept: {error}; run it as the user of serve"
        return ""

    def _refusal(self, judged: Judged) -> tuple[str, str]:
        """Why nobody is to be made final, and what would help."""
        if judged.left and not self._order.leave_behind:
            return judged.refusal, ": --leave-behind does it all the same"
        if not judged.todo or self._order.yes or self._order.dry_run:
            return "", ""
        names = ", ".join(self._order.named)
        question = f"Make {said(judged.todo)} of {names} final? Their sealed passwords are wiped."
        return ("", "") if click.confirm(question, err=True) else ("not confirmed", "")

    def _say(self, lines: Any) -> None:
        if not self._order.as_json:
            for line in lines:
                click.echo(line)

    # The last round, and the comparison

    def _all_tried(self) -> bool:
        """False where somebody did not let it come to its end."""
        ready = self._run.to_carry()
        if not ready:
            return Carrying(self._config, self._database, Silent()).afterwards(self._compare)
        self._say([f"a last round: {said(len(ready))} whose passwords are known"])
        self._show = show = _Collecting(Silent() if self._order.as_json else showing(as_json=False), self._run)
        show.begin(len(ready), (), 0)
        over = Carrying(self._config, self._database, show).run(ready, afterwards=self._compare)
        show.end(over=over)
        return over

    async def _compare(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415

        from proxy.cli.comparing import compare  # noqa: PLC0415
        from proxy.cli.verify_screen import Bars, Nothing  # noqa: PLC0415

        if self._show is not None:
            self._show.end(over=True)
        accounts: Sequence[Account] = self._run.to_compare()
        if not accounts:
            return
        self._say([f"compared with the old server: {said(len(accounts))}"])
        quiet = self._order.as_json or not sys.stdout.isatty()
        with Nothing() if quiet else Bars(len(accounts)) as told:
            found = await compare(
                *(self._config, accounts, self._run.passwords, QUICK, told),
                reactor=reactor,
                daemon=at_work(self._config.state),
            )
        self._run.compared(accounts, found)


def _numbers(chosen: Chosen, accounts: Accounts) -> list[int]:
    """Of the accounts that are meant. Raises CannotCarry, MailstoreError."""
    found, unknown = [], []
    for name, account in chosen.named(accounts):
        if account is None:
            unknown.append(str(name))
        else:
            found.append(account.id)
    if unknown:
        raise CannotCarry(f"not known here: {', '.join(unknown)}")
    found += [account.id for account in chosen.of_domains(accounts)]
    if not found:
        raise CannotCarry(f"{', '.join(chosen.domains)}: no accounts are known here")
    return found


class _Collecting:
    """A `Showing` that has it kept why accounts are not here. Its end is shown once."""

    def __init__(self, show: Showing, run: Run) -> None:
        self._show = show
        self._run = run
        self._ended = False

    def begin(self, accounts: int, unready: Sequence[tuple[str, str]], others: int) -> None:
        self._show.begin(accounts, unready, others)

    def progress(self, progress: Progress) -> None:
        self._run.carried(progress.ended)
        self._show.progress(progress)

    def say(self, text: str) -> None:
        self._show.say(text)

    def end(self, *, over: bool) -> bool:
        if not self._ended:
            self._ended = True
            return self._show.end(over=over)
        return over
