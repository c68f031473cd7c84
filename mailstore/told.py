"""What the accounts of a filter have had of one kind of notice: counted, and listed page by page, by the database.

`mailstore.notices` has what was sent; a page here costs its own accounts, not all that there are. Accounts that are
final are left out: they have nothing to be told any more. Reads only; may be called from any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, func, select

from mailstore.accounts import Account, State, account_of
from mailstore.database import AccountsDatabase
from mailstore.notices import Recipient, Standing
from mailstore.overview import Wanted, conditions
from mailstore.schema import accounts, notices

_a, _n = accounts.c, notices.c
_COLUMNS = [_a[name] for name in Account.__slots__]
_OPEN = and_(_n.sent.is_(None), _n.refusal == "")
_IN_ONE: Final = 500  # numbers of a statement


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of the accounts have which standing; `final` are beside them."""

    none: int = 0
    sent: int = 0
    refused: int = 0
    unknown: int = 0
    final: int = 0

    @property
    def accounts(self) -> int:
        """Those who may be told."""
        return self.none + self.sent + self.refused + self.unknown

    def plus(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, name) + getattr(other, name) for name in Tally.__slots__))


class Told:
    """Of all accounts, as it is now."""

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def tally(self, wanted: Wanted, kind: str, since: int = 0, numbers: Sequence[int] = ()) -> Tally:
        """Of those that are wanted, or of these `numbers` among them. What was begun before `since` does not count."""
        if not numbers:
            return self._tally(conditions(wanted), kind, since)
        found = Tally()
        for at in range(0, len(numbers), _IN_ONE):
            some = [*conditions(wanted), _a.id.in_(numbers[at : at + _IN_ONE])]
            found = found.plus(self._tally(some, kind, since))
        return found

    def _tally(self, some: Sequence[ColumnElement[bool]], kind: str, since: int) -> Tally:
        """Those who have had nothing are the rest, and need not be looked at one by one."""
        had = _had(kind, since)
        standing = _standing(had).label("standing")
        joined = accounts.join(had, had.c.account_id == _a.id)
        meant = [*some, _a.state != State.FINAL.value]
        told = select(standing, func.count()).select_from(joined).where(*meant).group_by(standing)
        states = select(_a.state, func.count()).where(*some).group_by(_a.state)
        with self._database.read() as connection:
            found = {str(row[0]): int(row[1]) for row in connection.execute(told)}
            all_of = {str(row[0]): int(row[1]) for row in connection.execute(states)}
        final = all_of.pop(State.FINAL.value, 0)
        return Tally(**{**found, "none": sum(all_of.values()) - sum(found.values()), "final": final})

    def page(
        self, wanted: Wanted, kind: str, standing: Standing, limit: int, *, behind: tuple[str, str] = ("", "")
    ) -> list[Recipient]:
        """Up to `limit` of those that have this standing, by domain and name, behind one of them."""
        had = _had(kind, 0)
        last = select(_n.refusal).where(_n.id == had.c.last).scalar_subquery()
        statement = (
            select(*_COLUMNS, had.c.sent.label("notice_sent"), func.coalesce(last, "").label("notice_refusal"))
            .select_from(accounts.join(had, had.c.account_id == _a.id))
            .where(*conditions(wanted), _a.state != State.FINAL.value, _standing(had) == standing.value)
            .where(_behind(behind))
            .order_by(_a.domain, _a.local)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_recipient(row._asdict(), standing) for row in connection.execute(statement)]


def _had(kind: str, since: int) -> Any:
    """What each account has had, by its number."""
    return (
        select(
            _n.account_id,
            func.max(_n.sent).label("sent"),
            func.sum(case((_OPEN, 1), else_=0)).label("unknown"),
            func.max(case((_n.refusal != "", _n.id))).label("last"),
        )
        .where(_n.kind == kind, _n.begun >= since)
        .group_by(_n.account_id)
        .subquery()
    )


def _standing(had: Any) -> ColumnElement[str]:
    """As `mailstore.notices` sees it: one that was taken outweighs the others, and one of unknown end those refused."""
    return case(
        (had.c.sent.is_not(None), Standing.SENT.value),
        (had.c.unknown > 0, Standing.UNKNOWN.value),
        else_=Standing.REFUSED.value,
    )


def _behind(place: tuple[str, str]) -> ColumnElement[bool]:
    domain, local = place
    return (_a.domain > domain) | ((_a.domain == domain) & (_a.local > local))


def _recipient(row: dict[str, Any], standing: Standing) -> Recipient:
    sent, refusal = row.pop("notice_sent"), row.pop("notice_refusal")
    return Recipient(account_of(row), standing, sent, refusal if standing is Standing.REFUSED else "")
