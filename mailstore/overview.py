"""How far all of it is: figures of domains and departments, and pages of accounts as an administrator wants them.

Everything is added up, filtered and cut into pages by the database: a page costs its own accounts, not all that there
are. A page is found by the last account of the one before it (keyset), so it stays where it is while accounts change,
come and go. Reads only. Every method is one transaction, or one for each thousand accounts, and may be called from any
thread. `proxy.admin.overview` puts into words what is found here.
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select, tuple_

from mailstore.accounts import Account, PasswordState, State, account_of, storable, total
from mailstore.database import AccountsDatabase
from mailstore.schema import accounts, aliases

MOST_COUNTED: Final = 10_000  # accounts that a filter finds; beyond that it is "more than"
BATCH: Final = 1_000

_a = accounts.c
_COLUMNS = [_a[name] for name in Account.__slots__]

# Something is to be said about it: it needs a person, or one should know.
_ATTENTION = or_(_a.reason != "", _a.state == State.BLOCKED.value, _a.password_state == PasswordState.REJECTED.value)


class Sort(enum.StrEnum):
    """The order of a list. Latest and largest come first."""

    NAME = "name"
    DEPARTMENT = "department"
    LAST_LOGIN = "last_login"
    SIZE = "size"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which accounts: all that everything given here holds for. `department` is a path with what is below it, "" those
    that have none; `text` is part of a name, a full name or an alias; each of `words` stands somewhere in address, full
    name, department or alias."""

    domain: str | None = None
    department: str | None = None
    state: State | None = None
    attention: bool = False
    troubled: bool = False  # the same, and those that are under way or paused
    paused: bool = False  # by themselves; a whole domain's pause is the domain's
    text: str = ""
    words: str = ""

    @property
    def everything(self) -> bool:
        """Is nothing asked for but a domain?"""
        return self == Wanted(domain=self.domain)


@dataclass(frozen=True, slots=True)
class Figures:
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
        return Figures(*(getattr(self, name) + getattr(other, name) for name in Figures.__slots__))


@dataclass(frozen=True, slots=True)
class Page:
    """Some accounts, and whether there are more before and behind them."""

    accounts: Sequence[Account]
    before: bool
    behind: bool


Key = tuple[int | str, ...]  # where an account stands in an order: `key_of`


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


_LISTED = or_(_a.messages_total > 0, _a.refreshed.is_not(None))
_FIGURES: Final[Sequence[ColumnElement[Any]]] = [
    func.count().label("accounts"),
    *(_count(_a.state == state.value).label(state.value) for state in State),
    _count(_ATTENTION).label("attention"),
    _count(_LISTED).label("known"),
    *(
        total(_a[column]).label(name)
        for name, column in (
            ("messages_done", "messages_done"),
            ("messages_listed", "messages_total"),
            ("bytes_done", "bytes_done"),
            ("bytes_listed", "bytes_total"),
        )
    ),
]


class Overview:
    """All accounts of the installation, as they are now."""

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def domains(self) -> dict[str, Figures]:
        """Each domain that has accounts, with its figures."""
        with self._database.read() as connection:
            rows = connection.execute(select(_a.domain, *_FIGURES).group_by(_a.domain))
            return {row.domain: Figures(*row[1:]) for row in rows}

    def figures(self, wanted: Wanted) -> Figures:
        """Of all accounts that are wanted."""
        with self._database.read() as connection:
            return Figures(*connection.execute(_wanted(select(*_FIGURES), wanted)).one())

    def departments(self, domain: str) -> dict[str, Figures]:
        """By path, each without what is below it; "" are accounts that have no department."""
        statement = select(_a.department, *_FIGURES).where(_a.domain == domain).group_by(_a.department)
        with self._database.read() as connection:
            return {row.department: Figures(*row[1:]) for row in connection.execute(statement)}

    def count(self, wanted: Wanted) -> int:
        """How many there are, counted up to one more than MOST_COUNTED."""
        some = _wanted(select(literal(1)).select_from(accounts), wanted).limit(MOST_COUNTED + 1).subquery()
        with self._database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(some)).scalar_one())

    def page(
        self,
        wanted: Wanted,
        limit: int,
        *,
        sort: Sort = Sort.NAME,
        behind: Key | None = None,
        before: Key | None = None,
    ) -> Page:
        """Up to `limit` accounts behind one place of the order, or the last ones before it; else the first ones."""
        backwards = before is not None
        statement = page_statement(wanted, limit + 1, sort=sort, behind=behind, before=before)
        with self._database.read() as connection:
            found = [account_of(row._asdict()) for row in connection.execute(statement)]
        more, found = len(found) > limit, found[:limit]
        if backwards:
            return Page(found[::-1], before=more, behind=True)
        return Page(found, before=behind is not None, behind=more)

    def each(self, wanted: Wanted, *, sort: Sort = Sort.NAME) -> Iterator[Account]:
        """All of them, a thousand at a time: a long list never holds the database."""
        for some in self.batches(wanted, BATCH, sort=sort):
            yield from some

    def batches(self, wanted: Wanted, size: int, *, sort: Sort = Sort.NAME) -> Iterator[Sequence[Account]]:
        """The same by up to `size` accounts, each batch as it is when it is asked for."""
        behind: Key | None = None
        while True:
            page = self.page(wanted, size, sort=sort, behind=behind)
            yield page.accounts
            if not page.behind:
                return
            behind = key_of(page.accounts[-1], sort)


def key_of(account: Account, sort: Sort) -> Key:
    """The place of an account in an order."""
    name: Key = (account.domain, account.local)
    match sort:
        case Sort.NAME:
            return name
        case Sort.DEPARTMENT:
            return account.domain, account.department, account.local
        case Sort.LAST_LOGIN:
            return account.last_login or 0, *name
        case Sort.SIZE:
            return account.bytes_total, *name


def is_key(key: object, sort: Sort) -> bool:
    """Can this be a place in that order? It may have been in somebody's browser."""
    numbers = sort in {Sort.LAST_LOGIN, Sort.SIZE}
    kinds = (int, str, str) if numbers else (str,) * (3 if sort is Sort.DEPARTMENT else 2)
    if not isinstance(key, (tuple, list)) or len(key) != len(kinds):
        return False
    fit = all(type(part) is kind for part, kind in zip(key, kinds, strict=True))
    return fit and not (numbers and not 0 <= key[0] < 2**63)


def page_statement(
    wanted: Wanted, limit: int, *, sort: Sort, behind: Key | None = None, before: Key | None = None
) -> Select[Any]:
    """What a page is found with; of those before a place the nearest come first."""
    if wanted.domain is not None and sort is Sort.NAME:
        columns: list[Any] = [_a.local]
    elif wanted.domain is not None and sort is Sort.DEPARTMENT:
        columns = [_a.department, _a.local]
    else:
        columns = [_a.domain, *([_a.department] if sort is Sort.DEPARTMENT else []), _a.local]
    number = {Sort.LAST_LOGIN: func.coalesce(_a.last_login, 0), Sort.SIZE: _a.bytes_total}.get(sort)
    key, backwards = (behind, False) if before is None else (before, True)
    statement = _wanted(select(*_COLUMNS), wanted).limit(limit)
    if key is not None:
        statement = statement.where(_beyond(key, number, columns, backwards=backwards))
    orders = [] if number is None else [number if backwards else number.desc()]
    return statement.order_by(*orders, *(column.desc() if backwards else column for column in columns))


def _beyond(key: Key, number: Any, columns: list[Any], *, backwards: bool) -> ColumnElement[bool]:
    place = tuple_(*(literal(part) for part in key[-len(columns) :]))
    names = tuple_(*columns)
    later: ColumnElement[bool] = names < place if backwards else names > place
    if number is None:
        return later
    farther = number > key[0] if backwards else number < key[0]
    return or_(farther, and_(number == key[0], later))


def _wanted(statement: Select[Any], wanted: Wanted) -> Select[Any]:
    return statement.where(*conditions(wanted))


def conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    """What holds for the accounts that are wanted, in terms of the table of accounts."""
    found: list[ColumnElement[bool]] = []
    if wanted.domain is not None:
        found.append(_a.domain == wanted.domain)
    if wanted.state is not None:
        found.append(_a.state == wanted.state.value)
    if wanted.attention:
        found.append(_ATTENTION)
    if wanted.troubled:
        found.append(or_(_ATTENTION, _a.state == State.MOVING.value, _a.paused == 1))
    if wanted.paused:
        found.append(_a.paused == 1)
    if wanted.department is not None:
        found += _below(wanted.department)
    if wanted.text:
        found.append(_contains(storable(wanted.text)))
    found += [_has(storable(word)) for word in wanted.words.split()]
    return found


def _below(path: str) -> Sequence[ColumnElement[bool]]:
    """One range of the index, so that it also gives the order: "/" comes just before "0"."""
    if not path:
        return (_a.department == "",)
    return _a.department >= path, _a.department < path + "0", or_(_a.department == path, _a.department >= path + "/")


def _has(word: str) -> ColumnElement[bool]:
    alias = (aliases.c.local + "@" + aliases.c.domain).contains(word.lower(), autoescape=True)
    return or_(
        (_a.local + "@" + _a.domain).contains(word.lower(), autoescape=True),
        _a.full_name.icontains(word, autoescape=True),
        _a.department.icontains(word, autoescape=True),
        _a.id.in_(select(aliases.c.account_id).where(alias)),
    )


def _contains(text: str) -> ColumnElement[bool]:
    text = unicodedata.normalize("NFKC", text).strip()
    local, at, domain = text.lower().partition("@")
    also = aliases.c.local.contains(local, autoescape=True)
    if at:
        also = and_(also, aliases.c.domain.startswith(domain, autoescape=True))
    as_alias = _a.id.in_(select(aliases.c.account_id).where(also))
    in_name = _a.local.contains(local, autoescape=True)
    if at:
        return or_(and_(in_name, _a.domain.startswith(domain, autoescape=True)), as_alias)
    return or_(in_name, _a.full_name.icontains(text, autoescape=True), as_alias)
