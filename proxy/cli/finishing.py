"""What `finalize` does, step by step: a last round, a comparison, who would be left behind, and the end.

The last round and the comparison need Twisted's reactor, which a process has once: the one follows the other on it.
"""

from __future__ import annotations

import csv
import json
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import click

from mailstore.accounts import Account, Accounts, State
from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from mailstore.finishing import Finishing
from mailstore.queue import Queue
from mailstore.secrets import Sealer, load_key
from proxy.admin.chosen import Chosen, obstacle
from proxy.admin.finishing import exported, text
from proxy.admin.finishing.behind import Known, left_behind, to_come
from proxy.admin.finishing.ending import make_final
from proxy.admin.finishing.report import Circumstances, Ended, Finished
from proxy.admin.verify.outcome import AccountOutcome
from proxy.admin.verify.passwords import Passwords
from proxy.admin.verify.run import reached
from proxy.admin.verify.sample import How
from proxy.admin.watch import Progress
from proxy.cli.carrying import CannotCarry, Carrying
from proxy.cli.filing import Filing
from proxy.cli.finishing_screen import conclusion, left_lines, said
from proxy.cli.showing import Showing, Silent, showing
from proxy.config import Config
from proxy.daemon.alone import at_work

QUICK: Final = How("none")  # the old server's list, and every file here; nothing is fetched again


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
        self._accounts = Accounts(database)
        self._queue = Queue(database)
        self._sealer = Sealer(load_key(config.key_file))
        self._show: Showing | None = None
        self._missed: dict[int, str] = {}
        self._outcomes: dict[int, AccountOutcome] = {}
        self._began = time.time()
        self._numbers = self._chosen(chosen)
        self._paused = self._queue.paused_domains()
        self._domains = sorted({account.domain for account in self._fresh()})

    def _chosen(self, chosen: Chosen) -> list[int]:
        found, unknown = [], []
        for name, account in chosen.named(self._accounts):
            if account is None:
                unknown.append(str(name))
            else:
                found.append(account.id)
        if unknown:
            raise CannotCarry(f"not known here: {', '.join(unknown)}")
        found += [account.id for account in chosen.of_domains(self._accounts)]
        if not found:
            raise CannotCarry(f"{', '.join(chosen.domains)}: no accounts are known here")
        return found

    def _fresh(self) -> list[Account]:
        """The accounts as they are now, by name."""
        return sorted(self._queue.of(self._numbers), key=lambda account: (account.domain, account.local))

    def run(self, filings: Sequence[tuple[str, Filing]]) -> str:
        """Gives back why it did not work, "" where it did. `filings`: forms of reports, and where they go. Raises
        CannotCarry, MailstoreError, NotFiled."""
        accounts = self._fresh()
        if any(account.state is not State.FINAL for account in accounts) and not self._all_tried(accounts):
            return "interrupted: nothing was made final"
        known = [self._known(account) for account in self._fresh()]
        ended = [_ended(one) for one in known]
        self._say(left_lines(ended, sum(map(to_come, known))))
        refused, remedy, why = *self._refusal(ended), ""
        if not refused and not self._order.dry_run:
            ended, why = self._end(ended)
        found = Finished(self._circumstances(refused), ended)
        for form, filing in filings:
            _write(found, form, filing)
        if self._order.as_json:
            click.echo(json.dumps(exported.as_json(found), ensure_ascii=False))
        self._say(conclusion(found))
        return f"{refused}; nothing was made final{remedy}" if refused else why

    def _refusal(self, ended: Sequence[Ended]) -> tuple[str, str]:
        """Why nobody is to be made final, and what would help."""
        left = sum(bool(one.behind) for one in ended)
        if left and not self._order.leave_behind:
            return f"{said(left)} would leave something behind", ": --leave-behind does it all the same"
        todo = sum(not one.final for one in ended)
        if not todo or self._order.yes or self._order.dry_run:
            return "", ""
        question = f"Make {said(todo)} of {', '.join(self._order.named)} final? Their sealed passwords are wiped."
        return ("", "") if click.confirm(question, err=True) else ("not confirmed", "")

    def _say(self, lines: Any) -> None:
        if not self._order.as_json:
            for line in lines:
                click.echo(line)

    # The last round, and the comparison

    def _all_tried(self, accounts: Sequence[Account]) -> bool:
        """False where somebody did not let it come to its end."""
        ready = [] if self._order.dry_run else [account for account in accounts if not self._obstacle(account)]
        if not ready:
            return Carrying(self._config, self._database, Silent()).afterwards(self._compare)
        self._say([f"a last round: {said(len(ready))} whose passwords are known"])
        self._show = show = _Collecting(Silent() if self._order.as_json else showing(as_json=False), self._missed)
        show.begin(len(ready), (), 0)
        over = Carrying(self._config, self._database, show).run(ready, afterwards=self._compare)
        show.end(over=over)
        return over

    def _obstacle(self, account: Account) -> str:
        return obstacle(account, paused=account.domain in self._paused)

    def _is_paused(self, account: Account) -> bool:
        return account.paused or account.domain in self._paused

    async def _compare(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415

        from proxy.cli.comparing import compare  # noqa: PLC0415
        from proxy.cli.verify_screen import Bars, Nothing  # noqa: PLC0415

        if self._show is not None:
            self._show.end(over=True)
        accounts = [account for account in self._fresh() if account.state not in {State.WAITING, State.FINAL}]
        accounts = [account for account in accounts if not self._is_paused(account)]
        if not accounts:
            return
        self._say([f"compared with the old server: {said(len(accounts))}"])
        passwords = Passwords({}, self._sealer)
        quiet = self._order.as_json or not sys.stdout.isatty()
        with Nothing() if quiet else Bars(len(accounts)) as told:
            found = await compare(
                *(self._config, accounts, passwords, QUICK, told),
                reactor=reactor,
                daemon=at_work(self._config.state),
            )
        self._outcomes = {account.id: outcome for account, outcome in zip(accounts, found, strict=True)}

    # The end

    def _known(self, account: Account) -> Known:
        return Known(
            account,
            self._outcomes.get(account.id),
            self._missed.get(account.id, ""),
            paused=self._is_paused(account),
            rehearsed=self._order.dry_run,
        )

    def _end(self, ended: list[Ended]) -> tuple[list[Ended], str]:
        """What became of each, and why it did not work."""
        todo = [(one.account, one.behind) for one in ended if not one.final]
        finishing = Finishing(self._database)
        changed = {account.id for account in make_final(finishing, self._sealer, todo, lambda _: None)}
        done = {account.id for account, _ in todo} - changed
        passwords = {account.id: account.password_hash is not None for account in self._queue.of(done)}
        ended = [
            Ended(
                *(one.account, one.behind, one.outcome),
                final=one.final or one.account.id in done,
                password=passwords.get(one.account.id, one.password),
                changed=one.account.id in changed,
            )
            for one in ended
        ]
        try:
            finishing.wipe()
        except StorageFailed as error:
            return ended, f"accounts are final, and their sealed passwords may still be in the database's log: {error}"
        if changed:
            return ended, f"{said(len(changed))} changed meanwhile and not final: run it again"
        return ended, ""

    def _circumstances(self, refused: str) -> Circumstances:
        return Circumstances(
            version=version("mailferry"),
            host=f"{self._config.hostname} ({socket.gethostname()})",
            asked_for=self._order.named,
            legacy=[(name, reached(self._config.domains[name])) for name in self._domains],
            began=self._began,
            ended=time.time(),
            rehearsed=self._order.dry_run,
            leave_behind=self._order.leave_behind,
            refused=refused,
        )


class _Collecting:
    """A `Showing` that keeps why accounts are not here. Its end is shown once."""

    def __init__(self, show: Showing, missed: dict[int, str]) -> None:
        self._show = show
        self._missed = missed
        self._ended = False

    def begin(self, accounts: int, unready: Sequence[tuple[str, str]], others: int) -> None:
        self._show.begin(accounts, unready, others)

    def progress(self, progress: Progress) -> None:
        self._missed.update((ended.account.id, ended.why) for ended in progress.ended if ended.why)
        self._show.progress(progress)

    def say(self, text: str) -> None:
        self._show.say(text)

    def end(self, *, over: bool) -> bool:
        if not self._ended:
            self._ended = True
            return self._show.end(over=over)
        return over


def _ended(known: Known) -> Ended:
    account = known.account
    final, password = account.state is State.FINAL, account.password_hash is not None
    return Ended(account, left_behind(known), known.outcome, final=final, password=password)


def _write(found: Finished, form: str, filing: Filing) -> None:
    if form == ".json":
        filing.write(json.dumps(exported.as_json(found), ensure_ascii=False, indent=1) + "\n")
    elif form == ".csv":
        filing.write("\ufeff")  # or spreadsheets take it for another encoding
        csv.writer(filing).writerows(exported.table(found))
    else:
        for line in text.report(found):
            filing.write(f"{line}\n")
