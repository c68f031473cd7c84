"""What an administrator is shown of the end of a move, or of its rehearsal, and what is known before it is begun.

It is kept as long as the daemon runs, so it has no more than a page needs: of each kind of what is left behind the
first NAMED accounts, and all of them as a sheet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailstore.finishing import Standing
from proxy.admin.finishing import exported
from proxy.admin.finishing.behind import BY_ITSELF, Why, by_itself
from proxy.admin.finishing.filed import sheet
from proxy.admin.finishing.report import Ended, Finished
from proxy.admin.reports import Report

NAMED: Final = 50


@dataclass(frozen=True, slots=True)
class Left:
    """One account that leaves something behind. `messages`: how many, None where nobody knows."""

    number: int
    name: str
    full_name: str
    messages: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Kind:
    """All of one kind; the first NAMED of them are named."""

    why: Why
    count: int
    accounts: Sequence[Left]


@dataclass(frozen=True, slots=True)
class Summary:
    """One run. Numbers are of accounts, `to_come` of messages."""

    rehearsed: bool
    refused: bool  # nobody was made final
    accounts: int
    final: int
    before: int  # of them, those that were final before
    changed: int  # were not what they had been any more, and were left
    without: int  # final, and nobody has a password for them
    to_come: int
    kinds: Sequence[Kind]
    left: Mapping[int, frozenset[Why]]  # by account number
    unforeseen: int  # of them, those that the administrator had not agreed to
    sheet: bytes  # the accounts that leave something behind, as CSV
    trouble: str = ""
    kept: Sequence[Report] = ()
    unkept: str = ""  # why the report is not kept


def summed(
    found: Finished,
    to_come: int,
    *,
    agreed: Collection[int],
    trouble: str = "",
    kept: Sequence[Report] = (),
    unkept: str = "",
) -> Summary:
    """`agreed` are the accounts that may leave something behind."""
    left = {one.account.id: frozenset(b.why for b in one.behind) for one in found.accounts if one.behind}
    behind = Finished(found.circumstances, [one for one in found.accounts if one.behind])
    return Summary(
        rehearsed=found.circumstances.rehearsed,
        refused=bool(found.circumstances.refused),
        accounts=len(found.accounts),
        final=found.final,
        before=found.before,
        changed=sum(one.changed for one in found.accounts),
        without=sum(one.final and not one.password for one in found.accounts),
        to_come=to_come,
        kinds=[_kind(why, accounts) for why, accounts in behind.by_why().items()],
        left=left,
        unforeseen=len(left.keys() - set(agreed)),
        sheet="".join(sheet(exported.table(behind))).encode(errors="replace"),
        trouble=trouble,
        kept=kept,
        unkept=unkept,
    )


def _kind(why: Why, accounts: Sequence[Ended]) -> Kind:
    return Kind(why, len(accounts), [_left(why, one) for one in accounts[:NAMED]])


def _left(why: Why, one: Ended) -> Left:
    behind = next(each for each in one.behind if each.why is why)
    account = one.account
    return Left(account.id, account.name, account.full_name, behind.messages, behind.detail)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would come of it, before it is begun. `todo`: accounts that are not final yet."""

    todo: int
    left: frozenset[int]
    kinds: Mapping[Why, int]
    looked: bool  # was the old server looked at, since the daemon was started?


def foreseen(standings: Iterable[Standing], last: Summary | None) -> Foreseen:
    """By the accounts that are not final, as they are now, and by what the last look, or the last run, has found at the
    old server."""
    left: dict[int, frozenset[Why]] = {}
    todo = 0
    for one in standings:
        todo += 1
        whys = frozenset[Why]() if last is None else last.left.get(one.number, frozenset()) - frozenset(BY_ITSELF)
        why = by_itself(one.state, one.password_state, sealed=one.sealed, paused=one.paused)
        if why is not None:
            whys |= {why}
        if whys:
            left[one.number] = whys
    counted = Counter(why for whys in left.values() for why in whys)
    kinds = {why: counted[why] for why in Why if counted[why]}
    return Foreseen(todo, frozenset(left), kinds, last is not None)
