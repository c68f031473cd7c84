"""Who may have what is searched for in a name, an alias or a department: their numbers, where they are few.

A range of the names' tails (`mailstore.name_tails`) has all whose names contain a text. Where many do, none are given
back: then a walk down the list soon meets as many as a page has. Departments and domains are few, and are looked
through by themselves. What is found here is looked at again: it is never too few, and may be too many.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Select, select, text

from mailstore.figures import Kept
from mailstore.name_tails import LONGEST
from mailstore.schema import accounts, name_tails
from mailstore.wanted import Wanted, text_of, words_of

FEW: Final = 2_000  # of whom all can be looked at, in however small a company
PER_PAGE: Final = 20  # a walk of N accounts to a page of those that n have is as long as a look at n = √(20 N)
_DEPARTMENTS: Final = 20  # whose accounts are fetched; more are many

_LAST: Final = "\U0010ffff"  # behind whatever a tail goes on with
_t, _a = name_tails.c, accounts.c
_ALIAS_DOMAINS: Final = text("""
    WITH RECURSIVE found (domain) AS (
        SELECT min(domain) FROM aliases
        UNION ALL SELECT (SELECT min(domain) FROM aliases WHERE domain > found.domain) FROM found
        WHERE found.domain IS NOT NULL
    )
    SELECT domain FROM found WHERE domain IS NOT NULL
""")


def few(connection: Connection, wanted: Wanted) -> Collection[int] | None:
    """The numbers of those who may be wanted, by their names; None where they are many, or no names are asked for."""
    return _Looking(connection, wanted).found() if wanted.text or wanted.words else None


class _Looking:
    """For one filter."""

    def __init__(self, connection: Connection, wanted: Wanted) -> None:
        self._connection = connection
        self._wanted = wanted
        self._kept = Kept(connection)
        here = self._kept.count(Wanted(wanted.domain)) or 0
        self._most = max(FEW, int((PER_PAGE * here) ** 0.5))

    def found(self) -> Collection[int] | None:
        """The fewest that one of the texts leaves."""
        return min((numbers for numbers in self._each() if numbers is not None), key=len, default=None)

    def _each(self) -> Iterator[set[int] | None]:
        if self._wanted.text:
            yield self._named(text_of(self._wanted))
        for word in words_of(self._wanted):
            yield self._anywhere(word)

    def _named(self, wanted: str) -> set[int] | None:
        """By a part of a name, or of a local part and its domain."""
        local, at, _ = wanted.lower().partition("@")
        return self._all([_having(part) for part in ({local} if at else {local, _small(wanted)})])

    def _anywhere(self, word: str) -> set[int] | None:
        """In an address, a full name or a department."""
        local, at, domain = word.lower().partition("@")
        ways = [_having(part) for part in {word.lower(), _small(word)}]
        domains = [*self._kept.domain_names(), *self._connection.scalars(_ALIAS_DOMAINS)]
        if not local or not at:
            if any((domain if at else local) in name for name in domains):
                return None
        elif any(name.startswith(domain) for name in domains):
            ways.append(_ending(local))
        known = self._kept.department_names(self._wanted.domain)
        departments = [(name, path) for name, path in known if _small(word) in _small(path)]
        if len(departments) > _DEPARTMENTS:
            return None
        ways += [select(_a.id).where(_a.domain == name, _a.department == path) for name, path in departments]
        return self._all(ways)

    def _all(self, ways: list[Select[Any]]) -> set[int] | None:
        found: set[int] = set()
        for way in [*ways, _ending("")]:  # those whose names are too long as well
            found.update(self._connection.scalars(way.limit(self._most + 1)))
            if len(found) > self._most:
                return None
        return found


def _having(part: str) -> Select[Any]:
    """Who has it in a name."""
    begin = part[:LONGEST]
    return select(_t.account_id).where(_t.tail >= begin, _t.tail <= begin + _LAST)


def _ending(local: str) -> Select[Any]:
    """Who has a name that ends so."""
    if len(local) >= LONGEST:
        return _having(local)
    return select(_t.account_id).where(_t.tail == local)


def _small(words: str) -> str:
    """As SQL's `lower` has it."""
    return words.encode().lower().decode()
