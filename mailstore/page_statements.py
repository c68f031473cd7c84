"""What a database is asked for a page of a list (`mailstore.paging` says in which way it is found).

What an index is not to be taken for is hidden from the database by an operation that changes nothing, or by another
collation that has the same order: both databases take an index only for a bare column.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    String,
    and_,
    any_,
    bindparam,
    collate,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    type_coerce,
)

from mailstore.accounts import State
from mailstore.figures import groups_of
from mailstore.naming import Within
from mailstore.schema import accounts
from mailstore.wanted import ATTENTION, PAUSED, Key, Sort, Wanted, below, found_by_words

_a = accounts.c
_LAST_LOGIN: Final = func.coalesce(_a.last_login, literal_column("0"))
NUMBERS: Final[dict[Sort, ColumnElement[int]]] = {Sort.LAST_LOGIN: _LAST_LOGIN, Sort.SIZE: _a.bytes_total}
IN_ONE: Final = 500  # accounts that SQLite is told in one statement
_TOLD: Final = 1_250  # the same in PostgreSQL, which is told them as one parameter: all that a page's count needs
_ANY: Final = 2**40

Spot = tuple[tuple[Any, ...], int]  # where an account stands in an order that ascends, and its number


@dataclass(frozen=True, slots=True)
class Place:
    """From where on, and which way: behind `key`, or the last ones before it."""

    key: Key | None
    backwards: bool = False


def statement_of(
    wanted: Wanted, sort: Sort, place: Place, limit: int, narrow: str | None, *, server: bool = False
) -> Select[Any]:
    """A page of one domain, and for orders by number of one state of it; those before a place come nearest first.
    `narrow`: the filter by whose index all that it has is fetched and put in order; None: the order's index is walked
    down. Other domains and states may be told it as `of_domain` and `of_state`, if a place is as far before or behind
    them. `server`: it is for PostgreSQL."""
    number = NUMBERS.get(sort)
    columns: list[Any] = [_a.department, _a.local] if sort is Sort.DEPARTMENT else [_a.local]
    if narrow is not None:
        number, columns = None if number is None else number + 0, [column + "" for column in columns]
    place_of = [*([] if number is None else [number]), _a.domain, *([_a.department] if sort is Sort.DEPARTMENT else [])]
    statement = select(_a.id, *place_of, _a.local).where(*_conditions(wanted, sort, narrow, server=server)).limit(limit)
    if place.key is not None:
        statement = statement.where(*_beyond(place, wanted.domain or "", number, columns))
    orders = [] if number is None else [number if place.backwards else number.desc()]
    return statement.order_by(*orders, *(column.desc() if place.backwards else column for column in columns))


def joined_statement(
    wanted: Wanted, sort: Sort, place: Place, of_each: int, limit: int, *, known: bool = True
) -> Select[Any]:
    """For an order by number, in PostgreSQL: of each of the domains `of_domains` with its state of `of_states` so many,
    and of all of them up to `limit`, as they come in that order, with their states. If those are not `known` they are
    all that there are."""
    walks: FromClause
    if known:
        arrays = (bindparam(name, type_=ARRAY(String)) for name in ("of_domains", "of_states"))
        walks = func.unnest(*arrays).table_valued("domain", "state", name="walks").render_derived()
    else:
        walks = groups_of(wanted).subquery("walks")
    domain, state = (collate(walks.c[name], "C") for name in ("domain", "state"))
    number, backwards = NUMBERS[sort], place.backwards
    holds = _conditions(replace(wanted, state=None), sort, None, server=True, domain=domain)
    of_one = select(_a.id, number.label("number"), _a.local).where(*holds, _a.state == state)
    if place.key is not None:
        value, of_domain, local = place.key
        farther, nearer = (number > value, number >= value) if backwards else (number < value, number <= value)
        here, there = tuple_(domain, _a.local), tuple_(literal(of_domain), literal(local))
        of_one = of_one.where(nearer, or_(farther, here < there if backwards else here > there))
    orders = (number, _a.local.desc()) if backwards else (number.desc(), _a.local)
    w = of_one.order_by(*orders).limit(of_each).lateral("w").c
    joined = select(w.id, w.number, domain.label("domain"), w.local, walks.c.state).select_from(
        walks.join(w.id.table, true())
    )
    if backwards:
        return joined.order_by(w.number, domain.desc(), w.local.desc()).limit(limit)
    return joined.order_by(w.number.desc(), domain, w.local).limit(limit)


def _conditions(
    wanted: Wanted, sort: Sort, narrow: str | None, *, server: bool, domain: Any = None
) -> Iterator[ColumnElement[bool]]:
    """With those columns hidden whose indexes are not to be taken. `domain`: an expression for another one."""
    domain = bindparam("of_domain", wanted.domain, String) if domain is None else domain
    apart = narrow == "attention" and not server
    yield _a.id.in_(_needing_attention(domain)) if apart else _a.domain == domain
    walked = {Sort.DEPARTMENT: "department", Sort.LAST_LOGIN: "state", Sort.SIZE: "state"}.get(sort)
    if sort is Sort.NAME and narrow is None:
        walked = next((n for n in ("attention", "paused", "state") if getattr(wanted, n)), None)
    shown = narrow or walked
    if wanted.state is not None:
        state = _a.state if shown == "state" else _unseen(_a.state, server=server)
        yield state == bindparam("of_state", wanted.state.value, String)
    if wanted.attention and not apart:
        yield ATTENTION if shown == "attention" else or_(ATTENTION, literal(value=False))
    if wanted.paused:
        yield PAUSED if shown == "paused" else _a.paused + 0 == 1
    if wanted.department is not None:
        department = _a.department if shown == "department" else _unseen(_a.department, server=server)
        yield from below(department, wanted.department)
    yield from found_by_words(wanted, one_by_one=True)


def _needing_attention(domain: BindParameter[str]) -> Select[Any]:
    """Their numbers. SQLite takes the index of those, of several that have the domain first, only for its order; and
    keeps to an order only where there is a limit."""
    return select(_a.id).where(_a.domain == domain, ATTENTION).order_by(_a.local).limit(_ANY)


def _beyond(place: Place, domain: str, number: Any, columns: list[Any]) -> Iterator[ColumnElement[bool]]:
    assert place.key is not None
    names = tuple_(*columns)
    if number is None:
        there = tuple_(*(literal(part) for part in place.key[-len(columns) :]))
        yield names < there if place.backwards else names > there
        return
    value, of_domain, local = place.key
    farther = number > value if place.backwards else number < value
    yield number >= value if place.backwards else number <= value  # a range of the index; the rest is decided there
    if domain == of_domain:
        later = columns[0] < local if place.backwards else columns[0] > local
    else:
        later = literal(value=(domain < str(of_domain)) if place.backwards else (domain > str(of_domain)))
    yield or_(farther, and_(number == value, later))


def among(connection: Connection, wanted: Wanted, numbers: Collection[int], sort: Sort = Sort.NAME) -> Iterator[Spot]:
    """Those of them who are wanted, in no order. Indexes of other columns are hidden: none is as short."""
    ordered, place = sorted(numbers), place_of(sort)
    server = connection.dialect.name == "postgresql"
    holds = [*hidden(wanted, server=server), *found_by_words(wanted, one_by_one=True)]
    size = _TOLD if server else IN_ONE
    for at in range(0, len(ordered), size):
        some = ordered[at : at + size]
        these = among_these(_a.id, some, server=server)
        for row in connection.execute(select(_a.id, *place).where(these, *holds)):
            yield tuple(row[1:]), row[0]


def among_these(column: ColumnElement[int], numbers: Collection[int], *, server: bool) -> ColumnElement[bool]:
    """PostgreSQL (`server`) is told ever so many as one parameter."""
    if server:
        return column == any_(bindparam("these", list(numbers), ARRAY(BigInteger)))
    return column.in_(numbers)


def ever_so_many(numbers: Collection[int], *, server: bool) -> ColumnElement[bool]:
    """More than a statement of SQLite's can have parameters."""
    if server:
        return among_these(_a.id, numbers, server=True)
    return _a.id.in_(select(func.json_each(json.dumps(list(numbers))).table_valued("value").c.value))


def inside(within: Within, *, server: bool) -> ColumnElement[bool]:
    """Who is there."""
    return or_(_a.domain.in_(within.domains), ever_so_many(within.numbers, server=server))


def place_of(sort: Sort) -> list[Any]:
    """Where an account stands, in an order that ascends."""
    number = NUMBERS.get(sort)
    first = [_a.domain] if number is None else [-number, _a.domain]
    return [*first, *([_a.department] if sort is Sort.DEPARTMENT else []), _a.local]


def _unseen(column: Any, *, server: bool) -> Any:
    """For whom no index of the column is to be taken. PostgreSQL knows from its statistics how many there are all the
    same; where it does not, it takes them for few, and a walk to them for a long one."""
    return type_coerce(collate(column, "POSIX"), String) if server else column + ""


def hidden(wanted: Wanted, *, server: bool) -> Iterator[ColumnElement[bool]]:
    """What holds for who is wanted, but for names; no index is to be taken for it."""
    attention, paused = or_(ATTENTION, literal(value=False)), _a.paused + 0 == 1
    domain, state, department = (_unseen(column, server=server) for column in (_a.domain, _a.state, _a.department))
    if wanted.domain is not None:
        yield domain == wanted.domain
    if wanted.state is not None:
        yield state == wanted.state.value
    if wanted.attention:
        yield attention
    if wanted.troubled:
        yield or_(attention, state == State.MOVING.value, paused)
    if wanted.paused:
        yield paused
    if wanted.department is not None:
        yield from below(department, wanted.department)
