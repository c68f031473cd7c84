"""Which accounts an administrator means, and in which order: a filter, an order, a place in it; and what holds for them
in terms of the table of accounts."""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, literal_column, or_, select

from mailstore.accounts import State, storable
from mailstore.counters import ATTENTION as ATTENTION_TEXT
from mailstore.schema import accounts, aliases

_a = accounts.c

# As the indexes of such accounts have them, to the letter: no index is taken for a value that is a parameter.
ATTENTION: Final[ColumnElement[bool]] = literal_column(ATTENTION_TEXT)
PAUSED: Final[ColumnElement[bool]] = literal_column("(paused = 1)")

Key = tuple[int | str, ...]  # where an account stands in an order: `mailstore.paging.key_of`


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


def is_key(key: object, sort: Sort) -> bool:
    """Can this be a place in that order? It may have been in somebody's browser."""
    numbers = sort in {Sort.LAST_LOGIN, Sort.SIZE}
    kinds = (int, str, str) if numbers else (str,) * (3 if sort is Sort.DEPARTMENT else 2)
    if not isinstance(key, (tuple, list)) or len(key) != len(kinds):
        return False
    fit = all(type(part) is kind for part, kind in zip(key, kinds, strict=True))
    return fit and not (numbers and not 0 <= key[0] < 2**63)


def conditions(wanted: Wanted, *, one_by_one: bool = False) -> list[ColumnElement[bool]]:
    """What holds for the accounts that are wanted, in terms of the table of accounts; `one_by_one` as in
    `found_by_words`."""
    found: list[ColumnElement[bool]] = []
    if wanted.domain is not None:
        found.append(_a.domain == wanted.domain)
    if wanted.state is not None:
        found.append(_a.state == wanted.state.value)
    if wanted.attention:
        found.append(ATTENTION)
    if wanted.troubled:
        found.append(or_(ATTENTION, _a.state == State.MOVING.value, _a.paused == 1))
    if wanted.paused:
        found.append(PAUSED)
    if wanted.department is not None:
        found += below(_a.department, wanted.department)
    return [*found, *found_by_words(wanted, one_by_one=one_by_one)]


def below(column: ColumnElement[str], path: str) -> Sequence[ColumnElement[bool]]:
    """One range of the index, so that it also gives the order: "/" comes just before "0"."""
    if not path:
        return (column == "",)
    return column >= path, column < path + "0", or_(column == path, column >= path + "/")


def text_of(wanted: Wanted) -> str:
    """What is searched for in a name, as names are written."""
    return unicodedata.normalize("NFKC", storable(wanted.text)).strip()


def words_of(wanted: Wanted) -> list[str]:
    """What is searched for anywhere."""
    return [storable(word) for word in wanted.words.split()]


def found_by_words(wanted: Wanted, *, one_by_one: bool = False) -> list[ColumnElement[bool]]:
    """Who has the text in a name, and all of the words somewhere. `one_by_one`: aliases are looked up of one account
    after the other, which is the least where few are looked at; else all that fit are looked for first."""
    found = [_contains(text_of(wanted), one_by_one)] if wanted.text else []
    return found + [_has(word, one_by_one) for word in words_of(wanted)]


def _has(word: str, one_by_one: bool) -> ColumnElement[bool]:
    return or_(
        (_a.local + "@" + _a.domain).contains(word.lower(), autoescape=True),
        _a.full_name.icontains(word, autoescape=True),
        _a.department.icontains(word, autoescape=True),
        _as_alias((aliases.c.local + "@" + aliases.c.domain).contains(word.lower(), autoescape=True), one_by_one),
    )


def _as_alias(holds: ColumnElement[bool], one_by_one: bool) -> ColumnElement[bool]:
    if one_by_one:  # "=" would have PostgreSQL look through all aliases first
        its = aliases.c.account_id.between(_a.id, _a.id)
        return select(aliases.c.local).where(its, holds).correlate(accounts).exists()
    return _a.id.in_(select(aliases.c.account_id).where(holds))


def _contains(text: str, one_by_one: bool) -> ColumnElement[bool]:
    local, at, domain = text.lower().partition("@")
    in_name, in_alias = (c.local.contains(local, autoescape=True) for c in (_a, aliases.c))
    if at:
        here, there = (c.domain.startswith(domain, autoescape=True) for c in (_a, aliases.c))
        return or_(and_(in_name, here), _as_alias(and_(in_alias, there), one_by_one))
    return or_(in_name, _a.full_name.icontains(text, autoescape=True), _as_alias(in_alias, one_by_one))
