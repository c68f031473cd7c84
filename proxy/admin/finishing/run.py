"""The end of a move, step by step: for `mailferry finalize`, and for the console.

    to_carry → (a last round) → carried → to_compare → (a comparison) → compared → judge → end → finished

What is in brackets is done by whoever has the means for it: a daemon, or a process of its own. A rehearsal has no last
round and no end. Everything here may be called in any thread, one thing after the other, and raises MailstoreError.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mailstore.accounts import Account, State
from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from mailstore.finishing import Finishing
from mailstore.queue import Queue
from mailstore.secrets import Sealer
from proxy.admin.chosen import obstacle
from proxy.admin.circumstances import origin
from proxy.admin.finishing.behind import Known, left_behind, to_come
from proxy.admin.finishing.ending import make_final
from proxy.admin.finishing.report import Circumstances, Ended, Finished
from proxy.admin.verify.outcome import AccountOutcome
from proxy.admin.verify.passwords import Passwords
from proxy.admin.verify.sample import How
from proxy.admin.watch import Ended as Carried
from proxy.config import Config

QUICK: Final = How("none")  # the old server's list, and every file here; nothing is fetched again


def said(count: int) -> str:
    """`2 accounts`."""
    return f"{count:,} account" + ("" if count == 1 else "s")


@dataclass(frozen=True, slots=True)
class Judged:
    """What each account would leave behind. `to_come`: messages that a last round would bring, in a rehearsal."""

    accounts: Sequence[Ended]
    to_come: int

    @property
    def left(self) -> list[Ended]:
        return [one for one in self.accounts if one.behind]

    @property
    def refusal(self) -> str:
        """Why nobody is made final where it is not to be so."""
        return f"{said(len(self.left))} would leave something behind"

    @property
    def todo(self) -> int:
        """How many are not final yet."""
        return sum(not one.final for one in self.accounts)


@dataclass(frozen=True, slots=True)
class Made:
    """What became of each, and why it did not work; "" where it did."""

    accounts: Sequence[Ended]
    trouble: str


class Run:
    """Of some accounts. Once."""

    def __init__(
        self,
        config: Config,
        database: AccountsDatabase,
        sealer: Sealer,
        asked_for: Sequence[str],
        numbers: Sequence[int],
        *,
        rehearsed: bool,
    ) -> None:
        """`asked_for` are domains and accounts as they were named, `numbers` the accounts that are meant."""
        self._config = config
        self._database = database
        self._sealer = sealer
        self._asked_for = asked_for
        self._numbers = numbers
        self._rehearsed = rehearsed
        self._queue = Queue(database)
        self._missed: dict[int, str] = {}
        self._outcomes: dict[int, AccountOutcome] = {}
        self._began = time.time()
        self._paused = self._queue.paused_domains()

    def _fresh(self) -> list[Account]:
        """The accounts as they are now, by name."""
        return sorted(self._queue.of(self._numbers), key=lambda account: (account.domain, account.local))

    @property
    def passwords(self) -> Passwords:
        """With which they are compared."""
        return Passwords({}, self._sealer)

    # The last round, and the comparison

    def over(self) -> bool:
        """Are all of them final already?"""
        return all(account.state is State.FINAL for account in self._queue.of(self._numbers))

    def to_carry(self) -> list[Account]:
        """Those that a last round can be made for."""
        if self._rehearsed:
            return []
        return [one for one in self._fresh() if not obstacle(one, paused=one.domain in self._paused)]

    def carried(self, ended: Iterable[Carried]) -> None:
        """How the last round ended for some of them."""
        self._missed.update((one.account.id, one.why) for one in ended if one.why)

    def to_compare(self) -> list[Account]:
        """Those of whom something is here, by name."""
        begun = [account for account in self._fresh() if account.state not in {State.WAITING, State.FINAL}]
        return [account for account in begun if not self._is_paused(account)]

    def compared(self, accounts: Sequence[Account], outcomes: Sequence[AccountOutcome]) -> None:
        """What was found of them, in the same order."""
        self._outcomes = {account.id: outcome for account, outcome in zip(accounts, outcomes, strict=True)}

    def _is_paused(self, account: Account) -> bool:
        return account.paused or account.domain in self._paused

    # The judgement

    def judge(self) -> Judged:
        """What each would leave behind, by what is known now."""
        known = [self._known(account) for account in self._fresh()]
        return Judged([_ended(one) for one in known], sum(map(to_come, known)))

    def _known(self, account: Account) -> Known:
        return Known(
            account,
            self._outcomes.get(account.id),
            self._missed.get(account.id, ""),
            paused=self._is_paused(account),
            rehearsed=self._rehearsed,
        )

    # The end

    def end(self, judged: Judged, told: Callable[[int], None] = lambda _: None) -> Made:
        """Make them final. `told` how many of them are done, from time to time."""
        todo = [(one.account, one.behind) for one in judged.accounts if not one.final]
        finishing = Finishing(self._database)
        changed = {account.id for account in make_final(finishing, self._sealer, todo, told)}
        now = {account.id: account for account in self._queue.of(account.id for account, _ in todo)}
        accounts = [_became(one, now.get(one.account.id, one.account), changed) for one in judged.accounts]
        try:
            finishing.wipe()
        except StorageFailed as error:
            trouble = f"accounts are final, and their sealed passwords may still be in the database's log: {error}"
            return Made(accounts, trouble)
        others = sum(one.changed for one in accounts)
        return Made(accounts, f"{said(others)} changed meanwhile and not final: run it again" if others else "")

    def finished(self, accounts: Sequence[Ended], *, refused: str, leave_behind: bool) -> Finished:
        """All of it, for a report. `refused`: why nobody was made final."""
        domains = {one.account.domain for one in accounts} & self._config.domains.keys()
        circumstances = Circumstances(
            **origin(self._config, self._asked_for, domains, self._began),
            rehearsed=self._rehearsed,
            leave_behind=leave_behind,
            refused=refused,
        )
        return Finished(circumstances, accounts)


def _ended(known: Known) -> Ended:
    account = known.account
    final, password = account.state is State.FINAL, account.password_hash is not None
    return Ended(account, left_behind(known), known.outcome, final=final, password=password, since=account.finalized)


def _became(one: Ended, now: Account, changed: Collection[int]) -> Ended:
    """An account behind the end. Who was made final by somebody else at the same time is final all the same."""
    if one.final:
        return one
    final = now.state is State.FINAL
    password, changed_since = now.password_hash is not None, now.id in changed and not final
    return replace(one, final=final, password=password, changed=changed_since, since=now.finalized)
