"""Administrators of a company's console, and accounts for them to look after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from itertools import count
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import insert

from mailstore.accounts import Account
from mailstore.administrators import Administrators
from mailstore.overview import Overview, Wanted
from mailstore.schema import accounts
from tests.browser.chromium import Chromium
from tests.browser.company import Company
from tests.browser.visitor import Visitor

PASSWORD = "correct horse, 电池"
_names = count(1)


@cache
def _hashed() -> str:
    """As `mailstore.secrets` has it, and cheap to compare with."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def appoint(company: Company) -> str:
    """A new administrator's name."""
    name = f"admin{next(_names)}"
    with closing(company.accounts()) as database:
        assert Administrators(database).add(name, _hashed())
    return name


@contextmanager
def at_the_console(chromium: Chromium, company: Company, **how: Any) -> Iterator[Any]:
    """A page of an administrator who has just logged in, whose way there is looked at elsewhere."""
    cookies = [
        {"name": name, "value": value, "domain": "localhost", "path": "/", "secure": company.daemon.encrypted}
        for name, value in administrator(company).cookies.items()
    ]
    with chromium.visiting(company, state={"cookies": cookies}, **how) as page:
        page.goto("/console")
        yield page


def dismiss(company: Company, name: str) -> None:
    with closing(company.accounts()) as database:
        assert Administrators(database).remove(name)


def administrator(company: Company, language: str = "en", address: str = "") -> Visitor:
    """One who is logged in, without a browser."""
    visitor = Visitor(company, language=language, address=address)
    if "console" in company.daemon.ports:
        visitor.port = company.daemon.ports["console"]
    answer = visitor.submit("/console/login", "/console/login", {"name": appoint(company), "password": PASSWORD})
    assert answer.status == 200 and 'action="/console/logout"' in answer.text, answer.words
    return visitor


def enrol(company: Company, rows: Sequence[dict[str, Any]]) -> list[Account]:
    """Accounts as somebody's list has them, in their order; `local` and what else is not as usual."""
    usual = {"domain": "123.com", "state": "waiting", "created": 1}
    with closing(company.accounts()) as database:
        with database.write() as connection:
            for row in rows:
                connection.execute(insert(accounts).values({**usual, **row}))
        found = {(each.domain, each.local): each for each in Overview(database).each(Wanted())}
    return [found[row.get("domain", "123.com"), row["local"]] for row in rows]
