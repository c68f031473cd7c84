"""What was found: of one account, and of all of them."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from proxy.admin.circumstances import Origin
from proxy.admin.verify.kinds import Finding, Kind, Weight
from proxy.admin.verify.sample import How


class Verdict(enum.StrEnum):
    WHOLE = "whole"
    NOTES = "whole with notes"
    INCOMPLETE = "incomplete"
    NOT_COMPARED = "not compared"  # with the legacy server; what is here is as it should be

    @property
    def rank(self) -> int:
        """0: the worst."""
        return _WORST_FIRST.index(self)


_WORST_FIRST: Final = (Verdict.INCOMPLETE, Verdict.NOT_COMPARED, Verdict.NOTES, Verdict.WHOLE)


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


@dataclass(slots=True)
class Totals:
    """What outcomes add up to."""

    accounts: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)  # of accounts
    counts: Counter[Kind] = field(default_factory=Counter)  # of messages
    asked: int = 0  # accounts that the legacy server gave a list of
    listed: int = 0
    listed_octets: int = 0
    ledger: int = 0
    stored: int = 0
    files: int = 0
    file_octets: int = 0
    contents: int = 0
    content_octets: int = 0

    def add(self, outcome: AccountOutcome) -> None:
        self.accounts += 1
        self.verdicts[outcome.verdict] += 1
        self.counts.update(outcome.counts)
        self.asked += outcome.listed is not None
        self.listed += outcome.listed or 0
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(outcome, name))

    @property
    def verdict(self) -> Verdict:
        """The worst of any account."""
        return min((v for v, count in self.verdicts.items() if count), key=lambda v: v.rank, default=Verdict.WHOLE)

    @property
    def shortcoming(self) -> str:
        """Why not all of it is proved to be here, in one line; "" where it is."""
        parts = []
        if self.verdicts[Verdict.INCOMPLETE]:
            parts.append(f"{self.verdicts[Verdict.INCOMPLETE]} incomplete")
        if self.verdicts[Verdict.NOT_COMPARED]:
            parts.append(f"{self.verdicts[Verdict.NOT_COMPARED]} not compared with the legacy server")
        of = f"{self.accounts} account" + ("s" if self.accounts != 1 else "")
        return f"of {of}, {' and '.join(parts)}" if parts else ""


_ADDED: Final = ("listed_octets", "ledger", "stored", "files", "file_octets", "contents", "content_octets")


@dataclass(frozen=True, slots=True)
class Circumstances(Origin):
    """What a report says of itself."""

    how: How


class Outcomes(Protocol):
    """Those of a verification, wherever they are kept. They may be gone through several times."""

    def __iter__(self) -> Iterator[AccountOutcome]:
        """By name."""

    def worst_first(self) -> Iterable[AccountOutcome]: ...


class AtHand(list[AccountOutcome]):
    """`Outcomes` in memory."""

    def worst_first(self) -> list[AccountOutcome]:
        return sorted(self, key=lambda outcome: outcome.verdict.rank)


@dataclass(frozen=True, slots=True)
class Verification:
    """All that was asked for."""

    circumstances: Circumstances
    accounts: Outcomes
    totals: Totals


def verification(said: Circumstances, outcomes: Iterable[AccountOutcome]) -> Verification:
    """Of outcomes at hand, by name."""
    found = Verification(said, AtHand(outcomes), Totals())
    for outcome in found.accounts:
        found.totals.add(outcome)
    return found
