"""How a page of a list is found among a million accounts.

In an order there is an index to walk down, of each domain, or of each domain and state; a page is the next accounts of
it that are wanted. Where few are, the walk would be long, and another way is shorter: fetch all that a narrow index
names (those of a department, those who need attention, …) and put them in order. Figures (`mailstore.figures`) tell
beforehand how long either way is; the shorter one is taken. Of several indexes the walks are joined; they find no more
of an account than its place, and those that are on the page are then read as a whole. Who is searched for by a name
that few have is looked up (`mailstore.naming`), and put in order here. The statements are in
`mailstore.page_statements`.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    any_,
    func,
    literal,
    select,
    true,
    tuple_,
)

from mailstore.accounts import Account, State, account_of
from mailstore.figures import Kept
from mailstore.naming import Joined, Looking
from mailstore.page_statements import (
    IN_ONE,
    NUMBERS,
    Place,
    Spot,
    among,
    among_these,
    ever_so_many,
    hidden,
    joined_statement,
    place_of,
    statement_of,
)
from mailstore.prepared import Prepared
from mailstore.schema import accounts
from mailstore.wanted import ATTENTION, PAUSED, Key, Sort, Wanted, found_by_words

_a = accounts.c
_COLUMNS = [_a[name] for name in Account.__slots__]


@dataclass(frozen=True, slots=True)
class Page:
    """Some accounts, and whether there are more before and behind them; and how many are wanted in all, where that was
    to be counted and the way to the page has met them."""

    accounts: Sequence[Account]
    before: bool
    behind: bool
    known: int | None = None


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


def page(
    connection: Connection,
    looking: Looking,
    wanted: Wanted,
    limit: int,
    *,
    sort: Sort,
    behind: Key | None,
    before: Key | None,
    counted: int = 0,
) -> Page:
    """See `mailstore.overview.Overview.page`. `counted`: all are to be counted, too, up to one more than that."""
    place = Place(behind) if before is None else Place(before, backwards=True)
    walking = _Walking(connection, looking, wanted, sort, place, limit + 1, counted)
    spots = list(islice(walking.spots(), limit + 1))
    more = len(spots) > limit
    found = _whole(connection, [number for _, number in spots[:limit]])
    if place.backwards:
        return Page(found[::-1], before=more, behind=True, known=walking.known)
    return Page(found, before=behind is not None, behind=more, known=walking.known)


def numbers(connection: Connection, looking: Looking, wanted: Wanted, limit: int) -> list[int]:
    """Of up to `limit` of the accounts that are wanted, the first by name."""
    spots = _Walking(connection, looking, wanted, Sort.NAME, Place(None), limit).spots()
    return [number for _, number in islice(spots, limit)]


def _whole(connection: Connection, numbers: Sequence[int]) -> list[Account]:
    """These, in their order."""
    known: dict[int, Account] = {}
    server = connection.dialect.name == "postgresql"
    for at in range(0, len(numbers), IN_ONE):
        some = numbers[at : at + IN_ONE]
        statement = select(*_COLUMNS).where(among_these(_a.id, some, server=server))
        known |= {row.id: account_of(row._asdict()) for row in connection.execute(statement)}
    return [known[number] for number in numbers]


class _Walking:
    """One page's way."""

    def __init__(
        self,
        connection: Connection,
        looking: Looking,
        wanted: Wanted,
        sort: Sort,
        place: Place,
        limit: int,
        counted: int = 0,
    ) -> None:
        self._connection = connection
        self._looking = looking
        self._wanted = wanted
        self._sort = sort
        self._place = place
        self._limit = limit
        self._counted = counted
        self.known: int | None = None  # see `Page`
        self._kept = Kept(connection)
        self._server = connection.dialect.name == "postgresql"
        self._statements: dict[Hashable, Prepared] = {}

    def spots(self) -> Iterator[Spot]:
        """At least so many as the limit says, if there are; in the order, or against it."""
        joined = self._looking.joined() if self._server and self._sort in NUMBERS else None
        if joined is not None and (first := self._first_of(joined)) is not None:
            return iter(first)
        numbers = self._looking.found()
        if numbers is not None:
            return self._among(numbers)
        if (anywhere := self._anywhere()) is not None:
            return iter(anywhere)
        if self._wanted.troubled:
            return self._troubled()
        within = self._looking.within()
        if self._server and self._sort in NUMBERS and self._wanted == Wanted(state=self._wanted.state):
            return self._at_once(None)
        domains: dict[str, _Sizes] = {}
        for (domain, state), size in self._kept.groups(self._wanted).items():
            if within is None or domain in within.domains:
                domains.setdefault(domain, {})[state] = size
        walk = self._walk(domains)
        return walk if within is None else self._once([walk, self._among(within.numbers)])

    def _walk(self, domains: Mapping[str, _Sizes]) -> Iterator[Spot]:
        """Down the lists of these domains."""
        if self._sort not in NUMBERS:
            return self._by_domain(domains)
        several: list[tuple[str, str]] = []
        walks: list[Iterator[Spot]] = []
        for domain, sizes in domains.items():
            wanted = replace(self._wanted, domain=domain)
            if narrow := self._narrower(wanted, sizes):
                walks.append(self._run(wanted, self._place, narrow))
            elif self._server:
                several += [(domain, state) for state in sizes]
            else:
                walks += [self._run(replace(wanted, state=State(state)), self._place, None) for state in sizes]
        if several:
            walks.append(self._at_once(several))
        return _joined(walks, backwards=self._place.backwards)

    def _among(self, numbers: Collection[int]) -> Iterator[Spot]:
        """Those of some: a few are all looked at, and put in order."""
        if len(numbers) > _IN_ORDER:
            return self._ordered(numbers)
        spots = sorted(among(self._connection, self._wanted, numbers, self._sort), reverse=self._place.backwards)
        here = self._here()
        if here is None:
            return iter(spots)
        return (spot for spot in spots if (spot[0] < here if self._place.backwards else spot[0] > here))

    def _first_of(self, joined: Joined) -> list[Spot] | None:
        """The way to them, their order and their count are one statement in PostgreSQL. None where they are too
        many."""
        entries = joined.numbers.subquery()
        found = select(func.array_agg(entries.c[0], type_=ARRAY(BigInteger)).label("ids")).select_from(entries).cte()
        found = found.prefix_with("MATERIALIZED")
        place_of = [part.label(f"part_{at}") for at, part in enumerate(self._place_of)]
        these = select(_a.id, *place_of).select_from(found.join(accounts, _a.id == any_(found.c.ids)))
        these = these.where(*self._holds(None), *joined.rest)
        if self._counted:
            these = these.add_columns(func.count().over().label("all"))
        held = these.subquery()
        parts = [held.c[part.name] for part in place_of]
        beyond = self._beyond(parts, self._here())
        everyone = [held.c["all"]] if self._counted else []
        statement = select(func.cardinality(found.c.ids), held.c.id, *parts, *everyone).select_from(
            found.outerjoin(held, and_(true(), *beyond))
        )
        rows = self._connection.execute(self._in_order(statement, parts).limit(self._limit)).all()
        if (rows[0][0] or 0) >= joined.most:
            return None
        if self._counted and rows[0][-1] is not None:
            self.known = min(rows[0][-1], self._counted + 1)
        return [(tuple(row[2 : 2 + len(parts)]), row[1]) for row in rows if row[1] is not None]

    def _ordered(self, numbers: Collection[int]) -> Iterator[Spot]:
        """Of more, the database puts all in order, and gives back some, who are then looked at: of those who are found
        by tails of names not all are wanted. Who counts is given enough at first for that, too."""
        here, count, known = self._here(), max(4 * self._limit, self._counted * 5 // 4), 0
        while True:
            spots = self._some_of(numbers, here, count)
            good = {number for _, number in among(self._connection, self._wanted, [number for _, number in spots])}
            known += len(good)
            if 0 < self._counted < known:
                self.known = self._counted + 1
            yield from (spot for spot in spots if spot[1] in good)
            if len(spots) < count:
                return
            here = spots[-1][0]
            count *= 8

    def _some_of(self, numbers: Collection[int], here: tuple[Any, ...] | None, count: int) -> list[Spot]:
        return self._first([ever_so_many(numbers, server=self._server), *self._holds(here)], count)

    def _first(self, holds: Iterable[ColumnElement[bool]], count: int) -> list[Spot]:
        """Of all for whom this holds, as many as that."""
        statement = select(_a.id, *self._place_of).where(*holds)
        rows = self._connection.execute(self._in_order(statement, self._place_of).limit(count))
        return [(tuple(row[1:]), row[0]) for row in rows]

    @property
    def _place_of(self) -> list[Any]:
        return place_of(self._sort)

    def _in_order(self, statement: Select[Any], place_of: Sequence[Any]) -> Select[Any]:
        backwards = self._place.backwards
        return statement.order_by(*(part.desc() if backwards else part for part in place_of))

    def _holds(self, here: tuple[Any, ...] | None) -> Iterator[ColumnElement[bool]]:
        """Of who comes behind a spot, or before it, all but the names."""
        yield from hidden(self._wanted, server=self._server)
        yield from self._beyond(self._place_of, here)

    def _beyond(self, place_of: Sequence[Any], here: tuple[Any, ...] | None) -> Iterator[ColumnElement[bool]]:
        if here is not None:
            spot, there = tuple_(*place_of), tuple_(*map(literal, here))
            yield spot < there if self._place.backwards else spot > there

    def _here(self) -> tuple[Any, ...] | None:
        """The place in terms of a spot's."""
        key = self._place.key
        if key is None:
            return None
        return (-key[0], *key[1:]) if self._sort in NUMBERS else tuple(key)  # type: ignore[operator]

    def _troubled(self) -> Iterator[Spot]:
        """The joined lists of each trouble."""
        plain = replace(self._wanted, troubled=False)
        each = [replace(plain, attention=True), replace(plain, state=State.MOVING), replace(plain, paused=True)]
        if plain.state is not None and plain.state is not State.MOVING:
            del each[1]
        about = self._sort, self._place, self._limit
        return self._once([_Walking(self._connection, self._looking, some, *about).spots() for some in each])

    def _once(self, walks: Iterable[Iterator[Spot]]) -> Iterator[Spot]:
        """Their joined lists, each account once."""
        seen: set[int] = set()
        for spot in _joined(walks, backwards=self._place.backwards):
            if spot[1] not in seen:
                seen.add(spot[1])
                yield spot

    def _by_domain(self, domains: Mapping[str, _Sizes]) -> Iterator[Spot]:
        """Orders that have the domain first."""
        for domain in sorted(domains, reverse=self._place.backwards):
            key = self._place.key
            if key is not None and (domain > str(key[0]) if self._place.backwards else domain < str(key[0])):
                continue
            here = self._place if key is not None and domain == key[0] else replace(self._place, key=None)
            wanted, sizes = replace(self._wanted, domain=domain), domains[domain].values()
            every, able = sum(size for size, _ in sizes), sum(able for _, able in sizes)
            narrow = self._narrow(wanted, able)
            walk = self._limit * every / able * self._scarcity(wanted, every)
            fetched = narrow is not None and narrow.count < walk
            yield from self._run(wanted, here, narrow.name if narrow is not None and fetched else None)

    def _narrower(self, wanted: Wanted, sizes: _Sizes) -> str | None:
        """Of a domain, for an order by number: the filter by whose index all are fetched, if that is shorter than a
        walk for each state."""
        narrow = self._narrow(wanted, sum(able for _, able in sizes.values()))
        every = sum(size for size, _ in sizes.values())
        walks = sum(self._limit * size / able for size, able in sizes.values())
        walks = min(every, walks * self._scarcity(wanted, every))
        if narrow is None or narrow.count >= walks or (self._server and walks < _AT_ONCE):
            return None
        return narrow.name

    def _at_once(self, walks: Sequence[tuple[str, str]] | None) -> Iterator[Spot]:
        """Of domains and states, or all that there are, ever so many of them, in PostgreSQL: who comes first in each
        tells which of them the page can be of."""
        if walks is None or len(walks) > self._limit:
            walks = [(spot[0][1], state) for spot, state in self._joined_there(walks, 1)]
        yield from (spot for spot, _ in self._joined_there(walks, self._limit))

    def _joined_there(self, walks: Sequence[tuple[str, str]] | None, of_each: int) -> Iterator[tuple[Spot, str]]:
        statement = joined_statement(
            self._wanted, self._sort, self._place, of_each, self._limit, known=walks is not None
        )
        about = {"of_domains": [domain for domain, _ in walks or ()], "of_states": [state for _, state in walks or ()]}
        for number, value, domain, local, state in self._connection.execute(statement, about):
            yield ((-value, domain, local), number), state

    def _run(self, wanted: Wanted, place: Place, narrow: str | None) -> Iterator[Spot]:
        domain = wanted.domain or ""
        of_place = "" if place.key is None else str(place.key[1 if self._sort in NUMBERS else 0])
        key = place.key is None, (domain > of_place) - (domain < of_place), narrow, wanted.state is None
        if key not in self._statements:  # one for all walks of its kind: making it takes longer than a walk
            statement = statement_of(wanted, self._sort, place, self._limit, narrow, server=self._server)
            self._statements[key] = Prepared(statement)
        about = {"of_domain": domain, "of_state": wanted.state and wanted.state.value}
        sign = -1 if self._sort in NUMBERS else 1
        for row in self._statements[key].all(self._connection, about):
            number, *rest = row
            yield ((sign * rest[0], *rest[1:]) if sign < 0 else tuple(rest)), number

    def _narrow(self, wanted: Wanted, able: int) -> _Narrow | None:
        """The filter that has the fewest accounts in its index. `able`: how many have all that figures tell."""
        domain = wanted.domain
        each = {
            "department": Wanted(domain, department=wanted.department) if wanted.department is not None else None,
            "attention": Wanted(domain, attention=True) if wanted.attention else None,
            "state": Wanted(domain, state=wanted.state) if wanted.state is not None else None,
        }
        told = replace(wanted, paused=False, text="", words="")
        ways = [
            _Narrow(name, able if some == told else self._kept.count(some) or 0)
            for name, some in each.items()
            if some is not None
        ]
        if wanted.paused:
            ways.append(_Narrow("paused", self._paused(wanted.domain)))
        return min(ways, key=lambda way: way.count) if ways else None

    def _scarcity(self, wanted: Wanted, every: int) -> float:
        """One in how many is wanted, as far as figures do not tell."""
        return max(1.0, every / max(1, self._paused(wanted.domain))) if wanted.paused else 1.0

    def _anywhere(self) -> list[Spot] | None:
        """Of all domains: those who need attention, or are paused, have an index by name, as all have. None where
        others are wanted, or they are many, and the index's order is not enough."""
        wanted = self._wanted
        by_name = self._sort is Sort.NAME and wanted in (Wanted(), Wanted(attention=True), Wanted(paused=True))
        if not by_name and (wanted.domain is not None or not (wanted.attention or wanted.paused)):
            return None
        kind = ATTENTION if wanted.attention else PAUSED if wanted.paused else true()
        # SQLite takes such an index for its order alone.
        these = select(_a.id).where(kind).order_by(_a.domain, _a.local).limit(_MANY + 1)
        if not by_name and self._how_many(these) > _MANY:
            return None
        such = kind if by_name or self._server else _a.id.in_(these)
        by_words = found_by_words(wanted, one_by_one=True)
        return self._first([such, *self._holds(self._here()), *by_words], self._limit)

    def _paused(self, domain: str | None) -> int:
        some = select(literal(1)).select_from(accounts).where(_a.domain == domain, PAUSED)
        return self._how_many(some.limit(_MANY))

    def _how_many(self, some: Select[Any]) -> int:
        return int(self._connection.execute(select(func.count()).select_from(some.subquery())).scalar_one())


_MANY: Final = 20_000
_AT_ONCE: Final = 1_000  # accounts that a walk may meet without being worth a statement of its own
_IN_ORDER: Final = 5_000  # of whom more than a page's are read
_Sizes = dict[str, tuple[int, int]]  # by state: how many accounts there are, and how many can be wanted at most


@dataclass(frozen=True, slots=True)
class _Narrow:
    """A filter that has an index of its own, and how many accounts are in it."""

    name: str
    count: int


def _joined(walks: Iterable[Iterator[Spot]], *, backwards: bool) -> Iterator[Spot]:
    return heapq.merge(*walks, reverse=backwards)
