"""Who may have what is searched for in a name, an alias or a department: their numbers, where they are few.

A range of the names' tails (`mailstore.name_tails`) has all whose names contain a text. Where many do, none are given
back: then a walk down the list soon meets as many as a page has. Of several texts that many have each, those are looked
for who have all: that may be nobody ("Huber Meyer"), and a walk would go past everybody. Where a text stands in names
of domains, or is an address, the walk may be down the lists of those domains (`Within`). What is found here is looked
at again: it is never too few, and may be too many. Ways to those who have a text are `mailstore.texts`'s to say.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ClauseElement,
    ColumnElement,
    Connection,
    Executable,
    Select,
    and_,
    func,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.compiler import compiles

from mailstore.figures import Kept
from mailstore.prepared import Prepared
from mailstore.schema import accounts
from mailstore.texts import UNTOLD, Text, Texts, Way
from mailstore.wanted import Wanted, found_by_words

FEW: Final = 2_000  # of whom all can be looked at, in however small a company
PER_PAGE: Final = 20  # a walk of N accounts to a page of those that n have is as long as a look at n = √(20 N)
COMMON: Final = 100_000  # names that are gone through for those who have several texts; what more have is met soon
TOGETHER: Final = 20_000  # who has several such texts: so many can still be put in an order by a number
SEVERAL: Final = 100  # domains, of each of which an order by a number is another list to walk down
_OFTEN: Final = 2  # entries of one account that have a text: few are "Huber, Anna Huber"

_a = accounts.c


@dataclass(frozen=True, slots=True)
class Joined:
    """A way to those who have several texts each of which many have: it is for who can put them in order on the way.

    `numbers` has some of them twice; if there are `most` entries, or more, they are too many to be all looked at. What
    is searched for holds for all of them for whom `rest` holds, which costs next to nothing.
    """

    numbers: Select[Any]
    most: int
    rest: Sequence[ColumnElement[bool]]


@dataclass(frozen=True, slots=True)
class Within:
    """Nobody may have what is searched for but the accounts of some domains, and these others. `size`: how many those
    of the domains are."""

    domains: frozenset[str]
    numbers: Collection[int]
    size: int


class Looking:
    """For one filter, as of one transaction."""

    def __init__(self, connection: Connection, wanted: Wanted, *, ordered: bool = False) -> None:
        """`ordered`: who is found is to be put in an order by a number, for which more are worth to be looked up."""
        self._connection = connection
        self._wanted = wanted
        self._sizes = Kept(connection).sizes(wanted.domain) if wanted.text or wanted.words else {}
        self._texts = Texts(connection, wanted, self._sizes)
        self._most = max(FEW, int((PER_PAGE * sum(self._sizes.values())) ** 0.5))
        self._together = max(self._most, TOGETHER) if ordered else self._most
        if len(self._sizes) > SEVERAL:
            self._most = self._together
        self._looked = False
        self._found: Collection[int] | None = None
        self._both: Select[Any] | None = None  # a way to those who have several texts, if they are not looked up yet
        self._exact = True  # … and all that are searched for, but for those whose names are too long
        self._within: Within | None = None
        self._some: Collection[int] = ()
        self._many: Select[Any] | None = None  # a way to some, if they are not known yet

    def found(self) -> Collection[int] | None:
        """The numbers of those who may be wanted, by their names; None where they are many, or no names are asked
        for."""
        if (both := self._joined()) is not None:
            self._take(both)
        return self._found

    def joined(self) -> Joined | None:
        """For several texts, each of which many have, if their tails leave no doubt, and they are not looked up
        yet."""
        both = self._joined()
        if both is None or not self._exact:
            return None
        rest = found_by_words(self._wanted, one_by_one=True)
        untold = [or_(_a.id.not_in(UNTOLD), and_(*rest))] if self._texts.some_are_untold else []
        return Joined(both, self._most_entries, untold)

    def _joined(self) -> Select[Any] | None:
        if not self._looked and (self._wanted.text or self._wanted.words):
            self._found = self._look()
        self._looked = True
        return self._both

    @property
    def _most_entries(self) -> int:
        """Of those who have several texts that are looked up."""
        return _OFTEN * self._together

    def within(self) -> Within | None:
        """Where those are who may be wanted, if they are many, and their domains tell."""
        return self._within if self.found() is None else None

    def some(self) -> Collection[int]:
        """Of many, some of those who may be wanted; as the figures go, most of them are."""
        self.found()
        if not self._some and self._many is not None:
            self._some = set(self._connection.scalars(self._many.limit(self._most)))
        return self._some

    def _look(self) -> Collection[int] | None:
        """The fewest that one of the texts leaves, or all of those together that many have."""
        common: list[Text] = []
        fewest: set[int] | None = None
        for each in self._texts.each():
            numbers = self._few(each)
            if numbers is None:
                common.append(each)
            elif fewest is None or len(numbers) < len(fewest):
                fewest = numbers
        if fewest is None and len(common) > 1 and sum(self._sizes.values()) > self._most:
            self._both = self._with_all(common)
        return fewest

    def _few(self, text: Text) -> set[int] | None:
        """Those who may have it; None where they are many."""
        found = None if text.ways is None else self._all(text.ways)
        if found is not None or text.domains is None or len(text.domains) == len(self._sizes):
            return found
        others = self._all(text.others)
        if others is None:
            return None
        size = sum(self._sizes[domain] for domain in text.domains)
        if size + len(others) <= self._most:
            return others.union(self._connection.scalars(select(_a.id).where(_a.domain.in_(text.domains))))
        if self._within is None or size < self._within.size:
            self._within = Within(text.domains, others, size)
        return None

    def _all(self, ways: Sequence[Way]) -> set[int] | None:
        """By any of the ways; None where they are many."""
        for way in ways:
            if self._counted(way, self._most + 1) > self._most:
                self._many = way
                return None
        found = {number for way in ways for number in self._connection.scalars(way)}
        return found if len(found) <= self._most else None

    def _with_all(self, common: Sequence[Text]) -> Select[Any] | None:
        """The way to who has each of the texts, as far as it can be gone in a moment."""
        by_names = [text.ways for text in common if text.ways is not None]
        sized = [(size, ways) for ways in by_names if (size := self._size(ways)) <= self._common]
        if len(sized) < 2:
            return None
        self._exact = len(sized) == len(common) and all(text.exact for text in common)
        each = [_any_of(ways) for _, ways in sorted(sized, key=_first)]
        number = each[-1].selected_columns[0]
        return each[-1].where(*(number.in_(ways) for ways in each[:-1])).limit(self._most_entries)

    def _take(self, both: Select[Any]) -> None:
        self._both = None
        entries = Prepared(both).all(self._connection, {})
        found = {row[0] for row in entries}
        if len(entries) < self._most_entries and len(found) <= self._together:
            self._found = found
        else:
            self._some = found

    @property
    def _common(self) -> int:
        """PostgreSQL's guess may be twice as many as there are."""
        return 2 * COMMON if self._server else COMMON

    @property
    def _server(self) -> bool:
        return self._connection.dialect.name == "postgresql"

    def _size(self, ways: Sequence[Way]) -> int:
        """How many entries of indexes that are, counted up to one more than are gone through; as PostgreSQL guesses, if
        it is there."""
        if self._server:
            return sum(_guessed(self._connection, way) for way in ways)
        size = 0
        for way in ways:
            size += self._counted(way, COMMON + 1 - size)
            if size > COMMON:
                break
        return size

    def _counted(self, way: Select[Any], most: int) -> int:
        some = way.limit(most).subquery()
        return int(self._connection.execute(select(func.count()).select_from(some)).scalar_one())


class _Explained(Executable, ClauseElement):
    """What PostgreSQL means to do for a statement, and how many rows it guesses that there are."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explained)
def _explained(element: _Explained, compiler: Any, **about: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **about)}"


def _first(each: tuple[int, Sequence[Way]]) -> int:
    return each[0]


def _any_of(ways: Sequence[Way]) -> Select[Any]:
    """All entries that one of the ways has. One way by itself is joined in half the time."""
    if len(ways) == 1:
        return ways[0]
    return select(union_all(*ways).subquery().c[0])


def _guessed(connection: Connection, way: Select[Any]) -> int:
    return int(connection.execute(_Explained(way)).scalar_one()[0]["Plan"]["Plan Rows"])
