"""Accounts as an administrator looks for them: by domain, department, state and words; and departments as a tree.

Reads only. A long list comes a page at a time, each in a transaction of its own, so that it never holds the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, case, func, or_, select

from mailstore.accounts import Account, State, account_of
from mailstore.database import AccountsDatabase
from mailstore.schema import accounts, aliases

PAGE: Final = 1_000

_a = accounts.c
_COLUMNS = [_a[name] for name in Account.__slots__]


@dataclass(frozen=True, slots=True)
class Sought:
    """Which accounts are meant; what is None or "" is not asked for."""

    domain: str | None = None
    department: str | None = None  # with all that is below it
    state: State | None = None
    words: str = ""  # in address, name, alias or department


@dataclass(frozen=True, slots=True)
class Person:
    """An account with its other addresses."""

    account: Account
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Department:
    """Those whose department is exactly this path."""

    domain: str
    path: str
    accounts: int
    waiting: int
    moving: int
    here: int  # moved or final
    blocked: int


class People:
    """All accounts of the installation."""

    def __init__(self, database: AccountsDatabase) -> None:
        self._database = database

    def page(self, sought: Sought, after: tuple[str, str] = ("", ""), limit: int = PAGE) -> list[Person]:
        """The next ones by domain and local part; `after` is the last of the page before. Raises MailstoreError."""
        later = (_a.domain > after[0]) | ((_a.domain == after[0]) & (_a.local > after[1]))
        statement = select(*_COLUMNS).where(later, *_conditions(sought)).order_by(_a.domain, _a.local).limit(limit)
        with self._database.read() as connection:
            found = [account_of(row._asdict()) for row in connection.execute(statement)]
            names: dict[int, list[str]] = {}
            for start in range(0, len(found), 500):
                numbers = [account.id for account in found[start : start + 500]]
                owned = select(aliases).where(aliases.c.account_id.in_(numbers))
                for row in connection.execute(owned.order_by(aliases.c.domain, aliases.c.local)):
                    names.setdefault(row.account_id, []).append(f"{row.local}@{row.domain}")
        return [Person(account, tuple(names.get(account.id, ()))) for account in found]

    def each(self, sought: Sought) -> Iterator[Person]:
        """All of them. Raises MailstoreError."""
        after = ("", "")
        while page := self.page(sought, after):
            yield from page
            if len(page) < PAGE:
                return
            after = (page[-1].account.domain, page[-1].account.local)

    def count(self, sought: Sought) -> int:
        """How many `each` gives. Raises MailstoreError."""
        with self._database.read() as connection:
            statement = select(func.count()).select_from(accounts).where(*_conditions(sought))
            return int(connection.execute(statement).scalar_one())

    def aliases(self, account_id: int) -> tuple[str, ...]:
        """The account's other addresses. Raises MailstoreError."""
        owned = select(aliases.c.local, aliases.c.domain).where(aliases.c.account_id == account_id)
        with self._database.read() as connection:
            rows = connection.execute(owned.order_by(aliases.c.domain, aliases.c.local)).all()
        return tuple(f"{row.local}@{row.domain}" for row in rows)

    def departments(self, domain: str | None = None) -> Sequence[Department]:
        """Each that somebody is in, by domain and path; "" is for those who are in none. Raises MailstoreError."""
        here = _a.state.in_([State.MOVED.value, State.FINAL.value])
        counts = [
            func.sum(case((condition, 1), else_=0)).label(name)
            for name, condition in (
                ("waiting", _a.state == State.WAITING.value),
                ("moving", _a.state == State.MOVING.value),
                ("here", here),
                ("blocked", _a.state == State.BLOCKED.value),
            )
        ]
        statement = select(_a.domain, _a.department.label("path"), func.count().label("accounts"), *counts)
        if domain is not None:
            statement = statement.where(_a.domain == domain)
        with self._database.read() as connection:
            rows = connection.execute(statement.group_by(_a.domain, _a.department)).all()
        return sorted((Department(**row._asdict()) for row in rows), key=lambda d: (d.domain, d.path.split("/")))


def _conditions(sought: Sought) -> Iterator[ColumnElement[Any]]:
    if sought.domain is not None:
        yield _a.domain == sought.domain
    if sought.department is not None:
        below = _a.department.startswith(sought.department + "/", autoescape=True)
        yield (_a.department == sought.department) | below if sought.department else _a.department == ""
    if sought.state is not None:
        yield _a.state == sought.state.value
    for word in sought.words.split():
        alias = select(aliases.c.account_id).where(
            (aliases.c.local + "@" + aliases.c.domain).contains(word.lower(), autoescape=True)
        )
        yield or_(
            (_a.local + "@" + _a.domain).contains(word.lower(), autoescape=True),
            _a.full_name.icontains(word, autoescape=True),
            _a.department.icontains(word, autoescape=True),
            _a.id.in_(alias),
        )
