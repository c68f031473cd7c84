"""How far each domain was, from time to time: what the curve, the rate and the expected end are made of.

A row is written at most once a minute, and only when something has changed: between two rows that differ it was as the
former one says, until a minute before the latter. Old rows are thinned out, so that a domain never has more than a few
thousand of them, however long its move takes. The daemon takes them (`proxy.daemon.sampling`). Whoever takes one joins
what connections to a server have entered of figures, if that has become much: a page adds all of it up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    text,
)

from mailstore import counters, notice_counters
from mailstore.database import AccountsDatabase
from mailstore.figures import Figures, Kept
from mailstore.of_each import OfEach
from mailstore.prepared import Prepared
from mailstore.schema import figures, notice_figures, samples
from mailstore.turns import Turn

MINUTE: Final = 60
DAY: Final = 86_400

# From which age on (seconds) one row is kept of each so many seconds: 1,440 + 864 + 552 + 1,480 rows at most.
THINNED: Final = ((DAY, 600), (7 * DAY, 3_600), (30 * DAY, 21_600))
OLDEST: Final = 400 * DAY

SCATTERED: Final = 5_000  # figures that are not joined yet
_ALL: Final = 2**40

_s = samples.c
_COLUMNS: Final = [column for column in samples.columns if column is not _s.domain]
_TIME: Final = text("SELECT floor(extract(epoch FROM clock_timestamp()))::bigint")


def _number(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger)


def _from_there(domain: ColumnElement[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    earlier = samples.alias("earlier")
    before = select(func.max(earlier.c.taken)).where(earlier.c.domain == domain, earlier.c.taken <= _number("since"))
    last = before.correlate_except(earlier).scalar_subquery()
    return _s.domain == domain, _s.taken >= func.coalesce(last, _number("since"))


def _of(domain: ColumnElement[str]) -> Select[Any]:
    return select(*_COLUMNS).where(*_from_there(domain)).order_by(_s.taken)


_FROM_THERE: Final = _from_there(bindparam("d", type_=String))
_OF: Final = Prepared(_of(bindparam("d", type_=String)))
_OF_EACH: Final = OfEach(_of)
_LATEST: Final = OfEach(lambda domain: select(*_COLUMNS).where(_s.domain == domain).order_by(_s.taken.desc()).limit(1))
_EXTENT: Final = Prepared(select(func.count(), func.min(_s.taken), func.max(_s.taken)).where(*_FROM_THERE))
_STEP: Final = (_s.taken - _number("begin")) * _number("steps") // _number("span")
_LATEST_OF_EACH: Final = select(func.max(_s.taken)).where(*_FROM_THERE).group_by(_STEP)
_THINNED: Final = Prepared(
    select(*_COLUMNS)
    .where(_s.domain == bindparam("d"), or_(_s.taken == _number("begin"), _s.taken.in_(_LATEST_OF_EACH)))
    .order_by(_s.taken)
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One row. `taken` in seconds since 1970; messages and bytes are those that are here."""

    taken: int
    waiting: int
    moving: int
    moved: int
    final: int
    blocked: int
    messages: int
    bytes: int

    @property
    def figures(self) -> tuple[int, ...]:
        return astuple(self)[1:]


def sample_of(figures: Figures, taken: int) -> Sample:
    """What the figures of a domain are as a row."""
    states = (figures.waiting, figures.moving, figures.moved, figures.final, figures.blocked)
    return Sample(taken, *states, figures.messages_done, figures.bytes_done)


class Samples:
    """Of all domains."""

    def __init__(self, database: AccountsDatabase, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._given = clock
        self._clock = clock or database.time

    def take(self) -> int:
        """Write down how far every domain is that is not where it was; gives back how many rows that are."""
        with self._database.read() as connection:
            domains = Kept(connection).domains()
        rows: list[dict[str, int | str]] = []
        with self._database.write(Turn.SAMPLES) as connection:
            now = self._now(connection)
            connection.execute(delete(samples).where(_s.taken > now))  # the clock was wrong then
            last = {domain: Sample(*row) for domain, (row,) in _LATEST.rows(connection, domains)}
            for domain, found in domains.items():
                new = _since(last.get(domain), sample_of(found, now))
                rows += ({"domain": domain, **asdict(sample)} for sample in new)
            if rows:
                connection.execute(insert(samples), rows)
            if connection.dialect.name == "postgresql" and _scattered(connection):
                _fold(connection, SCATTERED)
        return len(rows)

    def _now(self, connection: Connection) -> int:
        """In the turn: no node has a time that is before another's who had it first."""
        if self._given is None and connection.dialect.name == "postgresql":
            return int(connection.execute(_TIME).scalar_one())
        return int(self._clock())

    def thin(self) -> int:
        """Let go of old rows that nobody will miss; gives back how many."""
        now = int(self._clock())
        ends = [*(age for age, _ in THINNED[1:]), OLDEST]
        with self._database.write(Turn.SAMPLES) as connection:
            if connection.dialect.name == "postgresql":
                _fold(connection, _ALL)
            gone = connection.execute(delete(samples).where(_s.taken < now - OLDEST)).rowcount
            for (young, every), old in zip(THINNED, ends, strict=True):
                aged = and_(_s.taken < now - young, _s.taken >= now - old)
                gone += connection.execute(delete(samples).where(aged, _followed(every, now - young))).rowcount
        return gone

    def of(self, domain: str, since: int = 0, *, most: int | None = None) -> Sequence[Sample]:
        """Those of a domain from that time on, with the last one before it; by time. No more than `most`, if that is
        said: where there are more the first, and in equal steps of time the last one of each."""
        asked = {"d": domain, "since": since}
        with self._database.read() as connection:
            count, begin, end = (0, 0, 0) if most is None else _EXTENT.first(connection, asked)
            if most is None or count <= most:
                return _samples(_OF.all(connection, asked))
            steps = {"begin": begin, "steps": most - 2, "span": end - begin}
            return _samples(_THINNED.all(connection, {**asked, **steps}))

    def of_each(self, domains: Collection[str], since: int) -> dict[str, Sequence[Sample]]:
        """Of several, all of them, as at one moment."""
        with self._database.read() as connection:
            found = dict(_OF_EACH.rows(connection, domains, since=since))
        return {name: _samples(found.get(name, ())) for name in domains}


def _samples(rows: Iterable[Any]) -> Sequence[Sample]:
    return [Sample(*row) for row in rows]


def _scattered(connection: Connection) -> bool:
    """Are there so many rows of figures that adding them up takes long?"""
    rows = (select(literal(1)).where(table.c.slot != 0).limit(SCATTERED + 1) for table in (figures, notice_figures))
    return any(
        int(connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()) > SCATTERED
        for some in rows
    )


def _fold(connection: Connection, most: int) -> None:
    """In the turn: nobody else writes where figures are joined."""
    for fold in (counters.FOLD, notice_counters.FOLD):
        connection.execute(text(fold), {"most": most})


def _followed(every: int, before: int) -> ColumnElement[bool]:
    """Is there a later row in the same span of so many seconds, before that time?"""
    later = samples.alias()
    end = (_s.taken // every + 1) * every
    within = (later.c.taken > _s.taken, later.c.taken < end, later.c.taken < before)
    return exists().where(later.c.domain == _s.domain, *within)


def _since(last: Sample | None, now: Sample) -> Sequence[Sample]:
    """What is to be written: nothing, the new row, or before it one that says until when it was as it had been."""
    if last is None:
        return (now,)
    if last.figures == now.figures or now.taken - last.taken < MINUTE:
        return ()
    if now.taken - last.taken < 2 * MINUTE:
        return (now,)
    return Sample(now.taken - MINUTE, *last.figures), now
