"""What the accounts of a filter have had of one kind of notice: counted, and listed page by page, by the database.

`mailstore.notices` has what was sent; how each account stands, and how many of a domain or a department stand so, is
kept (`mailstore.notice_counters`). So a page costs its own accounts, not all that there are. Of another filter some
thousand accounts are looked at, and no more: beyond them it is known how many there are at least. Accounts that are
final are left out: they have nothing to be told any more. Reads only; may be called from any thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal, select

from mailstore import paging
from mailstore.accounts import Account, State, account_of
from mailstore.database import AccountsDatabase
from mailstore.figures import Kept
from mailstore.naming import Looking
from mailstore.notices import Recipient, Standing
from mailstore.page_statements import among, among_these
from mailstore.schema import accounts, notice_figures, notice_standings, notices
from mailstore.wanted import Wanted, below, conditions

_a, _n, _f, _s = accounts.c, notices.c, notice_figures.c, notice_standings.c
_COLUMNS = [_a[name] for name in Account.__slots__]
_OPEN = and_(_n.sent.is_(None), _n.refusal == "")
_IN_ONE: Final = 500  # numbers of a statement
MOST: Final = 5_000  # accounts that are looked at, where no figures are kept


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of the accounts have which standing; `final` are beside them. With `more` there are more accounts than
    were looked at, and each number is one that there are at least."""

    none: int = 0
    sent: int = 0
    refused: int = 0
    unknown: int = 0
    final: int = 0
    more: bool = False

    @property
    def accounts(self) -> int:
        """Those who may be told."""
        return self.none + self.sent + self.refused + self.unknown


class Told:
    """Of all accounts, as it is now."""

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def tally(self, wanted: Wanted, kind: str, since: int = 0, numbers: Sequence[int] = ()) -> Tally:
        """Of those that are wanted, or of these `numbers` among them. What was begun before `since` does not count."""
        if not numbers and not since and wanted == Wanted(wanted.domain, wanted.department):
            return self._kept(wanted, kind)
        with self._database.read() as connection:
            if numbers:
                some = [number for _, number in among(connection, wanted, numbers)]
            else:
                some = paging.numbers(connection, Looking(connection, wanted), wanted, MOST + 1)
            return _tally(connection, some[:MOST], kind, since, more=len(some) > MOST)

    def _kept(self, wanted: Wanted, kind: str) -> Tally:
        """Of a domain, a department, or all."""
        within = [] if wanted.domain is None else [_f.domain == wanted.domain]
        if wanted.department is not None:
            within += below(_f.department, wanted.department)
        told = select(_f.standing, func.sum(_f.accounts)).where(_f.kind == kind, *within).group_by(_f.standing)
        with self._database.read() as connection:
            found = Counter({str(row[0]): int(row[1]) for row in connection.execute(told)})
            figures = Kept(connection).figures(wanted)
        found[State.FINAL.value] = figures.final
        return _tally_of(figures.accounts, found)

    def page(
        self, wanted: Wanted, kind: str, standing: Standing, limit: int, *, behind: tuple[str, str] = ("", "")
    ) -> list[Recipient]:
        """Up to `limit` of those that have this standing, by domain and name, behind one of them."""
        within = [] if wanted.domain is None else [_s.domain == wanted.domain]
        of_it = (_n.account_id == _a.id, _n.kind == kind)
        last = select(func.max(_n.id)).where(*of_it, _n.refusal != "").correlate(accounts).scalar_subquery()
        words = select(_n.refusal).where(_n.id == last).correlate(accounts).scalar_subquery()
        sent = select(func.max(_n.sent)).where(*of_it).correlate(accounts).scalar_subquery()
        statement = (
            select(*_COLUMNS, sent.label("notice_sent"), func.coalesce(words, "").label("notice_refusal"))
            .select_from(notice_standings.join(accounts, _a.id == _s.account_id))
            .where(_s.kind == kind, _s.standing == standing.value, *within, *_behind(behind, wanted.domain))
            .where(*conditions(replace(wanted, domain=None)))
            .order_by(_s.domain, _s.local)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_recipient(row._asdict(), standing) for row in connection.execute(statement)]


def _tally(connection: Connection, numbers: Sequence[int], kind: str, since: int, *, more: bool) -> Tally:
    """Of these accounts. Those who have had nothing are the rest."""
    found: Counter[str] = Counter()
    server = connection.dialect.name == "postgresql"
    for at in range(0, len(numbers), _IN_ONE):
        some = numbers[at : at + _IN_ONE]
        ids, standings, noted = (
            among_these(column, some, server=server) for column in (_a.id, _s.account_id, _n.account_id)
        )
        # By their numbers, and by no other index, which databases take only for a bare column.
        final = select(func.count()).where(ids, _a.state + "" == State.FINAL.value)
        found[State.FINAL.value] += int(connection.execute(final).scalar_one())
        for standing, count in connection.execute(_noted(noted, kind, since) if since else _standings(standings, kind)):
            found[standing] += count
    return _tally_of(len(numbers), found, more=more)


def _tally_of(accounts: int, found: Counter[str], *, more: bool = False) -> Tally:
    """Of so many accounts, those found stand so."""
    sent, refused, unknown = (found[one.value] for one in (Standing.SENT, Standing.REFUSED, Standing.UNKNOWN))
    return Tally(accounts - found.total(), sent, refused, unknown, found[State.FINAL.value], more)


def _standings(these: ColumnElement[bool], kind: str) -> Select[str, int]:
    """As they are kept, of those that are not final."""
    standing = (_s.standing + "").label("standing")
    return select(standing, func.count()).where(these, _s.kind + "" == kind).group_by(standing)


def _noted(these: ColumnElement[bool], kind: str, since: int) -> Select[str, int]:
    """The same from what was begun since then."""
    had = (
        select(func.max(_n.sent).label("sent"), func.sum(case((_OPEN, 1), else_=0)).label("unknown"))
        .select_from(notices.join(accounts, _a.id == _n.account_id))
        .where(these, _n.kind == kind, _n.begun >= since, _a.state != State.FINAL.value)
        .group_by(_n.account_id)
        .subquery()
    )
    standing = _standing(had).label("standing")
    return select(standing, func.count()).select_from(had).group_by(standing)


def _standing(had: Any) -> ColumnElement[str]:
    """As `mailstore.notices` sees it: one that was taken outweighs the others, and one of unknown end those refused."""
    return case(
        (had.c.sent.is_not(None), Standing.SENT.value),
        (had.c.unknown > 0, Standing.UNKNOWN.value),
        else_=Standing.REFUSED.value,
    )


def _behind(place: tuple[str, str], of_domain: str | None) -> list[ColumnElement[bool]]:
    """A range of the index."""
    domain, local = place
    if of_domain is not None:
        return [_s.local > local] if domain == of_domain else [literal(value=domain < of_domain)]
    return [_s.domain >= domain, (_s.domain > domain) | (_s.local > local)]


def _recipient(row: dict[str, Any], standing: Standing) -> Recipient:
    sent, refusal = row.pop("notice_sent"), row.pop("notice_refusal")
    return Recipient(account_of(row), standing, sent, refusal if standing is Standing.REFUSED else "")
