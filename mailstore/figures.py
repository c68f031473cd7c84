"""The figures of domains and departments, from what is kept of them (`mailstore.counters`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import add
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, case, cast, func, or_, select, true

from mailstore.accounts import State
from mailstore.counters import SUMS
from mailstore.schema import figures
from mailstore.wanted import Wanted

_f = figures.c
# A sum of PostgreSQL's is a decimal fraction, which takes a driver ten times as long to read as a number.
_ACCOUNTS, *_ADDED = (cast(func.sum(_f[name]), BigInteger) for name in SUMS)
_OF_STATES: Final = [
    cast(func.sum(case((_f.state == state.value, _f.accounts), else_=0)), BigInteger) for state in State
]
_FIGURES: Final = (_ACCOUNTS, *_OF_STATES, *_ADDED)  # in the order in which `Figures` has them
_SOME: Final = func.sum(_f.accounts) > 0


class Figures(NamedTuple):
    """What there is of a domain or a department. Messages and octets `done` are here; `listed` is how much the legacy
    server has of the accounts whose mail was listed, which are `known` many."""

    accounts: int = 0
    waiting: int = 0
    moving: int = 0
    moved: int = 0
    final: int = 0
    blocked: int = 0
    attention: int = 0
    known: int = 0
    messages_done: int = 0
    messages_listed: int = 0
    bytes_done: int = 0
    bytes_listed: int = 0

    def plus(self, other: Figures) -> Figures:
        return Figures(*map(add, self, other))


@dataclass(frozen=True, slots=True)
class Totals:
    """A domain's figures for `status`."""

    accounts: int = 0
    waiting: int = 0
    moving: int = 0
    moved: int = 0
    final: int = 0
    blocked: int = 0
    messages: int = 0
    bytes: int = 0


def totals_of(figures: Figures) -> Totals:
    """Of what is here."""
    counts = {name: getattr(figures, name) for name in ("accounts", *(state.value for state in State))}
    return Totals(**counts, messages=figures.messages_done, bytes=figures.bytes_done)


class Kept:
    """As of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def domains(self) -> dict[str, Figures]:
        """Each domain that has accounts."""
        return self._by_name((), _f.domain)

    def departments(self, domain: str) -> dict[str, Figures]:
        """Each department of a domain that has accounts of its own."""
        return self._by_name((_f.domain == domain,), _f.department)

    def sizes(self, domain: str | None) -> dict[str, int]:
        """How many accounts each domain has, or had; or one."""
        found = select(_f.domain, _ACCOUNTS).where(*_of_row(Wanted(domain))).group_by(_f.domain)
        return {row[0]: row[1] for row in self._connection.execute(found)}

    def department_paths(self, domain: str | None) -> Sequence[str]:
        """Departments that accounts are in, or were: of a domain, or of all."""
        return self._connection.scalars(select(_f.department).where(*_of_row(Wanted(domain))).distinct()).all()

    def departments_at(self, domain: str | None, paths: Collection[str]) -> list[tuple[str, str]]:
        """Those of these that are of a domain, or of any: domains and paths."""
        here = _of_row(Wanted(domain))
        found = select(_f.domain, _f.department).where(_f.department.in_(paths), *here).distinct()
        return [(row[0], row[1]) for row in self._connection.execute(found)]

    def figures(self, wanted: Wanted) -> Figures:
        """Raises ValueError for what none are kept of."""
        where = _kept(wanted)
        if where is None or wanted.attention:
            raise ValueError(f"no figures are kept of {wanted}")
        row = self._connection.execute(select(*_FIGURES).where(*where).having(_SOME)).first()
        return Figures() if row is None else Figures(*row)

    def count(self, wanted: Wanted) -> int | None:
        """How many accounts are wanted; None where that is not kept."""
        where = _kept(wanted)
        if where is None:
            return None
        column = _f.attention if wanted.attention else _f.accounts
        return int(self._connection.execute(select(func.coalesce(func.sum(column), 0)).where(*where)).scalar_one())

    def groups(self, wanted: Wanted) -> dict[tuple[str, str], tuple[int, int]]:
        """By domain and state: how many accounts there are, and how many of them can be wanted at most. Those are left
        out where none can."""
        grouped = self._connection.execute(groups_of(wanted))
        return {(domain, state): (every, able) for domain, state, every, able in grouped}

    def _by_name(self, where: Iterable[ColumnElement[bool]], name: ColumnElement[str]) -> dict[str, Figures]:
        wanted = select(name, *_FIGURES).where(*where).group_by(name).having(_SOME)
        return {row[0]: Figures(*row[1:]) for row in self._connection.execute(wanted)}


def groups_of(wanted: Wanted) -> Select[Any]:
    """As `Kept.groups` asks: domain, state, every, able."""
    column = _f.attention if wanted.attention else _f.accounts
    able = func.sum(case((and_(true(), *_of_row(wanted)), column), else_=0))
    sizes = select(_f.domain, _f.state, cast(func.sum(_f.accounts), BigInteger), cast(able, BigInteger))
    within = _of_row(Wanted(wanted.domain, state=wanted.state))
    return sizes.where(*within).group_by(_f.domain, _f.state).having(able > 0)


def _of_row(wanted: Wanted) -> Iterable[ColumnElement[bool]]:
    """What of it a row tells."""
    if wanted.domain is not None:
        yield _f.domain == wanted.domain
    if wanted.state is not None:
        yield _f.state == wanted.state.value
    if wanted.department is not None:
        path = wanted.department
        below = or_(_f.department == path, _f.department.startswith(path + "/", autoescape=True))
        yield below if path else _f.department == ""


def _kept(wanted: Wanted) -> list[ColumnElement[bool]] | None:
    """What holds for the rows that add up to what is wanted; None where no rows do."""
    if wanted.text or wanted.words or wanted.paused or wanted.troubled:
        return None
    return list(_of_row(wanted))
