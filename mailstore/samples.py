"""How far each domain was, from time to time: what the curve, the rate and the expected end are made of.

A row is written at most once a minute, and only when something has changed: between two rows that differ it was as the
former one says, until a minute before the latter. Old rows are thinned out, so that a domain never has more than a few
thousand of them, however long its move takes. The daemon takes them (`proxy.daemon.sampling`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, select, text

from mailstore import counters, notice_counters
from mailstore.accounts import Accounts, Totals
from mailstore.database import AccountsDatabase
from mailstore.schema import samples
from mailstore.turns import Turn

MINUTE: Final = 60
DAY: Final = 86_400

# From which age on (seconds) one row is kept of each so many seconds: 1,440 + 864 + 552 + 1,480 rows at most.
THINNED: Final = ((DAY, 600), (7 * DAY, 3_600), (30 * DAY, 21_600))
OLDEST: Final = 400 * DAY

_s = samples.c
_TIME: Final = text("SELECT floor(extract(epoch FROM clock_timestamp()))::bigint")


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


def sample_of(totals: Totals, taken: int) -> Sample:
    """What the totals of a domain are as a row."""
    figures = asdict(totals)
    del figures["accounts"]
    return Sample(taken, **figures)


class Samples:
    """Of all domains."""

    def __init__(self, database: AccountsDatabase, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._accounts = Accounts(database)
        self._given = clock
        self._clock = clock or database.time

    def take(self) -> int:
        """Write down how far every domain is that is not where it was; gives back how many rows that are."""
        totals = self._accounts.totals()
        rows: list[dict[str, int | str]] = []
        with self._database.write(Turn.SAMPLES) as connection:
            now = self._now(connection)
            connection.execute(delete(samples).where(_s.taken > now))  # the clock was wrong then
            last = _latest(connection)
            for domain, found in totals.items():
                new = _since(last.get(domain), sample_of(found, now))
                rows += ({"domain": domain, **asdict(sample)} for sample in new)
            if rows:
                connection.execute(insert(samples), rows)
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
                connection.execute(text(counters.FOLD))
                connection.execute(text(notice_counters.FOLD))
            gone = connection.execute(delete(samples).where(_s.taken < now - OLDEST)).rowcount
            for (young, every), old in zip(THINNED, ends, strict=True):
                aged = and_(_s.taken < now - young, _s.taken >= now - old)
                gone += connection.execute(delete(samples).where(aged, _followed(every, now - young))).rowcount
        return gone

    def of(self, domain: str, since: int = 0) -> Sequence[Sample]:
        """Those of a domain from that time on, with the last one before it; by time."""
        before = select(func.max(_s.taken)).where(_s.domain == domain, _s.taken <= since)
        with self._database.read() as connection:
            begin = connection.execute(before).scalar()
            from_there = _s.taken >= (since if begin is None else begin)
            rows = connection.execute(select(samples).where(_s.domain == domain, from_there).order_by(_s.taken))
            return [Sample(*row[1:]) for row in rows]


def _followed(every: int, before: int) -> ColumnElement[bool]:
    """Is there a later row in the same span of so many seconds, before that time?"""
    later = samples.alias()
    end = (_s.taken // every + 1) * every
    within = (later.c.taken > _s.taken, later.c.taken < end, later.c.taken < before)
    return exists().where(later.c.domain == _s.domain, *within)


def _latest(connection: Connection) -> Mapping[str, Sample]:
    """Each domain's last row."""
    latest = select(_s.domain, func.max(_s.taken).label("taken")).group_by(_s.domain).subquery()
    joined = and_(_s.domain == latest.c.domain, _s.taken == latest.c.taken)
    return {row.domain: Sample(*row[1:]) for row in connection.execute(select(samples).join(latest, joined))}


def _since(last: Sample | None, now: Sample) -> Sequence[Sample]:
    """What is to be written: nothing, the new row, or before it one that says until when it was as it had been."""
    if last is None:
        return (now,)
    if last.figures == now.figures or now.taken - last.taken < MINUTE:
        return ()
    if now.taken - last.taken < 2 * MINUTE:
        return (now,)
    return Sample(now.taken - MINUTE, *last.figures), now
