"""What somebody who watches a verification sees of it, while it goes on and when it is done: totals, and those accounts
of which there is most to say. All the rest is in the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from mailstore.proofs import Proof
from proxy.admin.reports import Report
from proxy.admin.tasks import Task
from proxy.admin.verify.account import Progress, Step
from proxy.admin.verify.kinds import Finding, Kind
from proxy.admin.verify.outcome import AccountOutcome, Circumstances, Totals, Verdict

ROWS: Final = 200  # accounts that are kept
FEW: Final = 5  # findings of each of many accounts
MANY: Final = 200  # findings of one account that was asked for by itself


@dataclass(frozen=True, slots=True)
class Row:
    """One account. `findings` are the first, the worst before the others; `number` is the account's, 0 where it has
    gone meanwhile."""

    account: str
    state: str
    verdict: Verdict
    not_compared: str
    under_way: str
    listed: int | None
    ledger: int
    stored: int
    contents: int
    counts: Mapping[Kind, int]
    findings: Sequence[Finding]
    more: int  # findings
    number: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """A verification that is done. `report` None: it could not be kept, for the reason `unkept`; `unsettled` is why
    what it proves could not be written down."""

    circumstances: Circumstances
    totals: Totals
    rows: Sequence[Row]  # the worst first
    proven: Sequence[Proof]  # what was not proven before
    report: Report | None
    unkept: str = ""
    unsettled: str = ""


@dataclass(slots=True)
class Watching:
    """A `Told` of one task. `alone`: one account is compared, and what is counted are its messages."""

    task: Task
    alone: bool = False
    totals: Totals = field(default_factory=Totals)
    under_way: dict[str, Progress] = field(default_factory=dict)  # by account
    _rows: list[tuple[int, str, Row]] = field(default_factory=list)

    def began(self, account: str) -> None:
        self.under_way[account] = Progress(Step.LISTING)

    def progress(self, account: str, progress: Progress) -> None:
        self.under_way[account] = progress
        if self.alone:
            self.task.done, self.task.total = progress.done, progress.total

    def ended(self, outcome: AccountOutcome) -> None:
        self.under_way.pop(outcome.account, None)
        self.totals.add(outcome)
        if not self.alone:
            self.task.done += 1
        row = _row(outcome, MANY if self.alone else FEW)
        self._rows.append((row.verdict.rank, row.account, row))
        if len(self._rows) > 2 * ROWS:
            self._leave_out()

    def gone(self, accounts: int) -> None:
        """So many are not there any more."""
        self.task.total -= accounts

    def rows(self) -> list[Row]:
        """The worst first, then by name."""
        self._leave_out()
        return [row for _, _, row in self._rows]

    def _leave_out(self) -> None:
        self._rows.sort(key=lambda item: item[:2])
        del self._rows[ROWS:]


def numbered(rows: Sequence[Row], numbers: Mapping[str, int]) -> list[Row]:
    """With the accounts' numbers."""
    return [replace(row, number=numbers.get(row.account, 0)) for row in rows]


def _row(outcome: AccountOutcome, most: int) -> Row:
    worst = sorted(outcome.findings, key=lambda finding: -finding.kind.weight)[:most]
    return Row(
        *(outcome.account, outcome.state, outcome.verdict, outcome.not_compared, outcome.under_way),
        *(outcome.listed, outcome.ledger, outcome.stored, outcome.contents),
        counts={kind: outcome.counts[kind] for kind in Kind if outcome.counts[kind]},
        findings=worst,
        more=len(outcome.findings) - len(worst),
    )
