"""What was found: of one account, and of all of them."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy.admin.verify.kinds import Finding, Kind, Weight
from proxy.admin.verify.sample import How


class Verdict(enum.StrEnum):
    WHOLE = "whole"
    NOTES = "whole with notes"
    INCOMPLETE = "incomplete"
    NOT_COMPARED = "not compared"  # with the legacy server; what is here is as it should be


@dataclass(slots=True)
class AccountOutcome:
    """One account. Counts are of messages, sizes in octets."""

    account: str
    domain: str
    state: str
    not_compared: str = ""  # why the legacy server, or not all of it, was compared
    under_way: str = ""  # a move is, or was interrupted: what was compared is as of its last barrier
    listed: int | None = None  # at the legacy server; None: it was not asked
    listed_octets: int = 0
    ledger: int = 0  # rows
    stored: int = 0  # … of them here
    files: int = 0  # that were read and compared
    file_octets: int = 0
    contents: int = 0  # that the legacy server gave once more, and that were compared
    content_octets: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)  # all that are more than FINE
    seconds: float = 0.0

    def found(self, finding: Finding) -> None:
        self.counts[finding.kind] += 1
        self.findings.append(finding)

    def count(self, kind: Kind, messages: int = 1) -> None:
        if messages:
            self.counts[kind] += messages

    def weighing(self, weight: Weight) -> int:
        return sum(count for kind, count in self.counts.items() if kind.weight is weight)

    @property
    def verdict(self) -> Verdict:
        if self.weighing(Weight.FAULT):
            return Verdict.INCOMPLETE
        if self.not_compared:
            return Verdict.NOT_COMPARED
        return Verdict.NOTES if self.weighing(Weight.NOTE) else Verdict.WHOLE


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a report says of itself. Times in seconds since 1970."""

    version: str
    host: str  # this one
    asked_for: Sequence[str]
    how: How
    legacy: Sequence[tuple[str, str]]  # domain, and how its legacy server is reached
    began: float
    ended: float


@dataclass(frozen=True, slots=True)
class Verification:
    """All that was asked for. Accounts by name."""

    circumstances: Circumstances
    accounts: Sequence[AccountOutcome]

    def verdicts(self) -> Counter[Verdict]:
        return Counter(account.verdict for account in self.accounts)

    def counts(self) -> Counter[Kind]:
        total: Counter[Kind] = Counter()
        for account in self.accounts:
            total.update(account.counts)
        return total

    @property
    def verdict(self) -> Verdict:
        """The worst of any account."""
        found = self.verdicts()
        for verdict in (Verdict.INCOMPLETE, Verdict.NOT_COMPARED, Verdict.NOTES):
            if found[verdict]:
                return verdict
        return Verdict.WHOLE

    @property
    def shortcoming(self) -> str:
        """Why not all of it is proved to be here, in one line; "" where it is."""
        found = self.verdicts()
        parts = []
        if found[Verdict.INCOMPLETE]:
            parts.append(f"{found[Verdict.INCOMPLETE]} incomplete")
        if found[Verdict.NOT_COMPARED]:
            parts.append(f"{found[Verdict.NOT_COMPARED]} not compared with the legacy server")
        of = f"{len(self.accounts)} account" + ("s" if len(self.accounts) != 1 else "")
        return f"of {of}, {' and '.join(parts)}" if parts else ""
