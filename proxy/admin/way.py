"""How far a domain is on its way, step by step: what has been done, what is under way, and what comes next.

Nothing is asked of anybody for it: it is what the accounts' database has, and what the last look at DNS found.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from mailstore.database import AccountsDatabase
from mailstore.overview import Figures, Wanted
from mailstore.proofs import Proofs
from mailstore.told import Told
from proxy.admin.dns.remembered import in_memory, last_look
from proxy.admin.proving import Stage as Proven
from proxy.admin.proving import standing
from proxy.admin.reports import Reports
from proxy.config import Domain

Name = Literal["accounts", "notice", "dns", "legacy", "watch", "verify", "finish"]

NAMES: Final[tuple[Name, ...]] = ("accounts", "notice", "dns", "legacy", "watch", "verify", "finish")


class Stage(enum.StrEnum):
    OPEN = "open"  # nothing is known to have been done
    BEGUN = "begun"
    DONE = "done"
    WRONG = "wrong"  # it was done, and is so no more, or somebody needs help


@dataclass(frozen=True, slots=True)
class Step:
    """One of them. `count` of `of` are done, where it can be counted; `at` is when it was, in seconds since 1970."""

    name: Name
    stage: Stage
    count: int = 0
    of: int = 0
    at: int | None = None


class Way:
    """Of every domain. May be called from any thread."""

    def __init__(self, database: AccountsDatabase, state: Path) -> None:
        self._told = Told(database)
        self._proofs = Proofs(database)
        self._reports = Reports(state)
        self._state = state

    def of(self, domain: Domain, figures: Figures) -> list[Step]:
        """The steps, in their order. Raises MailstoreError."""
        return [
            Step("accounts", Stage.DONE if figures.accounts else Stage.OPEN, figures.accounts),
            self._notice(domain),
            self._dns(domain),
            self._legacy(domain),
            _watch(figures),
            self._verify(domain),
            _finish(figures),
        ]

    def _notice(self, domain: Domain) -> Step:
        tally = self._told.tally(Wanted(domain=domain.name), "notice")
        stage = _stage(tally.sent, tally.accounts, begun=bool(tally.sent))
        return Step("notice", stage, tally.sent, tally.accounts)

    def _dns(self, domain: Domain) -> Step:
        try:
            looked = last_look(in_memory(self._state, domain.ascii_name))
        except OSError:  # whoever looks is told
            looked = None
        if looked is None:
            return Step("dns", Stage.OPEN)
        stage = Stage.DONE if looked.all_right else Stage.BEGUN
        return Step("dns", stage, looked.right, looked.records, looked.at)

    def _legacy(self, domain: Domain) -> Step:
        proof = self._proofs.all().get(domain.name)
        stages = {Proven.PROVEN: Stage.DONE, Proven.CHANGED: Stage.WRONG, Proven.UNPROVEN: Stage.OPEN}
        return Step("legacy", stages[standing(domain, proof).stage], at=None if proof is None else proof.proven)

    def _verify(self, domain: Domain) -> Step:
        try:
            kept = [one for one in self._reports.of(domain.name) if one.kind == "verify" and one.account is None]
        except OSError:  # then they are told of where they are looked for
            kept = []
        return Step("verify", Stage.BEGUN, at=kept[0].made) if kept else Step("verify", Stage.OPEN)


def _watch(figures: Figures) -> Step:
    done = figures.moved + figures.final
    stage = _stage(done, figures.accounts, begun=bool(done or figures.moving))
    return Step("watch", Stage.WRONG if figures.attention else stage, done, figures.accounts)


def _finish(figures: Figures) -> Step:
    stage = _stage(figures.final, figures.accounts, begun=bool(figures.final))
    return Step("finish", stage, figures.final, figures.accounts)


def _stage(done: int, of: int, *, begun: bool) -> Stage:
    if not begun:
        return Stage.OPEN
    return Stage.DONE if done == of else Stage.BEGUN
