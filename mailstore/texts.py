"""What is searched for, one text after the other, and the ways to those who may have it.

A *way* gives numbers of accounts out of an index: a range of the names' tails (`mailstore.name_tails`), a department,
the aliases of a domain. An account may come several times on one way: it has "n" in "Anna" twice. Where a text stands
in names of domains, or is an address, there are the accounts of those domains, and few others who may have it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, select, text

from mailstore.figures import Kept
from mailstore.name_tails import LONGEST
from mailstore.schema import accounts, aliases, name_tails
from mailstore.wanted import Wanted, text_of, words_of

_DEPARTMENTS: Final = 20  # whose accounts are fetched; more are many

_LAST: Final = "\U0010ffff"  # behind whatever a tail goes on with
_a, _l, _t = accounts.c, aliases.c, name_tails.c
_ALIAS_DOMAINS: Final = text("""
    WITH RECURSIVE found (domain) AS (
        SELECT min(domain) FROM aliases
        UNION ALL SELECT (SELECT min(domain) FROM aliases WHERE domain > found.domain) FROM found
        WHERE found.domain IS NOT NULL
    )
    SELECT domain FROM found WHERE domain IS NOT NULL
""")

Way = Select[Any]


@dataclass(frozen=True, slots=True)
class Text:
    """Who may have one text: all that `ways` lead to, where names tell that; and also all accounts of `domains`, where
    those tell it, and all that `others` lead to."""

    ways: Sequence[Way] | None = None
    exact: bool = False  # do all have it that `ways` lead to, but for those whose names are too long?
    domains: frozenset[str] | None = None
    others: Sequence[Way] = ()


class Texts:
    """Of one filter, as of one transaction."""

    def __init__(self, connection: Connection, wanted: Wanted, domains: Collection[str]) -> None:
        """`domains`: those that are wanted."""
        self._connection = connection
        self._wanted = wanted
        self._domains = domains

    def each(self) -> Iterator[Text]:
        """One after the other; those are left out that all accounts have."""
        if self._wanted.text:
            yield self._named(text_of(self._wanted))
        for word in words_of(self._wanted):
            if not all(word.lower() in f"@{domain}" for domain in self._domains):
                yield self._anywhere(word)

    @cached_property
    def some_are_untold(self) -> bool:
        """Are there accounts whose names are too long for their tails to tell all of them?"""
        return self._connection.execute(UNTOLD.limit(1)).first() is not None

    def _named(self, wanted: str) -> Text:
        """By a part of a name, or of a local part and its domain."""
        local, at, domain = wanted.lower().partition("@")
        if not at:
            return Text([*map(_having, {local, _small(wanted)}), *self._untold], _is_exact(wanted))
        others = self._by_alias(self._of_alias(domain, begins=True), _l.local.contains(local, autoescape=True))
        return Text([_having(local), *self._untold], domains=self._of_account(domain, begins=True), others=others)

    def _anywhere(self, word: str) -> Text:
        """In an address, a full name or a department."""
        departments = self._departments(_small(word))
        if len(departments) > _DEPARTMENTS:
            return Text()
        named = [*map(_having, {word.lower(), _small(word)}), *self._untold]
        named += [select(_a.id).where(_a.domain == name, _a.department == path) for name, path in departments]
        local, at, domain = word.lower().partition("@")
        part, begins = (domain, True) if at else (local, False)
        of_account, of_alias = self._of_account(part, begins=begins), self._of_alias(part, begins=begins)
        if not of_account and not of_alias:
            return Text(named, _is_exact(word))
        ends = _l.local.endswith(local if at else "", autoescape=True)
        others = [*named, *self._by_alias(of_alias, ends)]
        return Text([*named, _ending(local)] if local and at else None, domains=of_account, others=others)

    @property
    def _untold(self) -> list[Way]:
        return [UNTOLD] if self.some_are_untold else []

    def _of_account(self, part: str, *, begins: bool) -> frozenset[str]:
        """Domains that are wanted, with it in their names."""
        return frozenset(_with(part, self._domains, begins=begins))

    def _of_alias(self, part: str, *, begins: bool) -> list[str]:
        return list(_with(part, self._alias_domains, begins=begins))

    @cached_property
    def _alias_domains(self) -> Sequence[str]:
        return self._connection.scalars(_ALIAS_DOMAINS).all()

    @staticmethod
    def _by_alias(domains: Sequence[str], holds: ColumnElement[bool]) -> list[Way]:
        return [select(_l.account_id).where(_l.domain.in_(domains), holds)] if domains else []

    def _departments(self, small: str) -> list[tuple[str, str]]:
        """Those with it in their names, each with its domain; some, where they are many."""
        kept = Kept(self._connection)
        found = [path for path in kept.department_paths(self._wanted.domain) if small in _small(path)]
        if len(found) > _DEPARTMENTS:
            return [("", path) for path in found]
        return kept.departments_at(self._wanted.domain, found) if found else []


def _with(part: str, domains: Collection[str], *, begins: bool) -> Iterator[str]:
    return (domain for domain in domains if (domain.startswith(part) if begins else part in domain))


def _having(part: str) -> Way:
    """Who has it in a name."""
    begin = part[:LONGEST]
    return select(_t.account_id).where(_t.tail >= begin, _t.tail <= begin + _LAST)


def _ending(local: str) -> Way:
    """Who has a name that ends so."""
    if len(local) >= LONGEST:
        return _having(local)
    return select(_t.account_id).where(_t.tail == local)


UNTOLD: Final = _ending("")  # those whose names are too long as well


def _is_exact(part: str) -> bool:
    """Do all have it whose names' tails begin with it, as far as they are told?"""
    return len(part) <= LONGEST and "@" not in part and part.lower() == _small(part)


def _small(words: str) -> str:
    """As SQL's `lower` has it."""
    return words.encode().lower().decode()
