"""Which account's move is next in the background. The queue is the accounts' table itself.

An account waits by its `due` time, and before all others if an administrator has `asked`; while its move is under way
it has none. Nothing is kept in memory of those that wait, so ten thousand of them cost what one does: each question
here is a step or two down an index for each domain, however many wait. Other processes (`mailferry migrate`, `pause`)
write to the same table; `version` tells whether it is worth looking.

Every method is one transaction, or one for each batch of rows, and may be called from any thread.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, zip_longest
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from mailstore.accounts import Account, PasswordState, State, account_of, storable
from mailstore.database import AccountsDatabase
from mailstore.of_each import OfEach
from mailstore.schema import accounts, leases, paused_domains
from mailstore.turns import Turn

T = TypeVar("T")

TAKEN: Final = 600  # seconds after which an account that was taken is due again if nothing was begun
BATCH: Final = 500  # rows of a statement or a transaction: a long list never holds the database

_a = accounts.c
_COLUMNS = [_a[name] for name in Account.__slots__]
_MOVABLE = (
    _a.sealed_password.is_not(None),
    _a.password_state != PasswordState.REJECTED.value,
    _a.state.not_in([State.FINAL.value, State.BLOCKED.value]),
)
_UNTIL = bindparam("now", type_=BigInteger)


def _earliest(domain: ColumnElement[str]) -> Select[Any]:
    return select(_a.due).where(_a.domain == domain, _a.paused == 0, _a.due.is_not(None)).order_by(_a.due).limit(1)


def _asked(domain: ColumnElement[str]) -> Select[Any]:
    waits = (_a.domain == domain, _a.paused == 0, _a.asked.is_not(None), _a.due <= _UNTIL)
    some = select(_a.id).where(*waits).order_by(_a.asked).limit(bindparam("n", type_=Integer))
    return some.with_for_update(skip_locked=True)  # whoever takes at the same moment takes others


def _due(domain: ColumnElement[str]) -> Select[Any]:
    waits = (_a.domain == domain, _a.paused == 0, _a.due <= _UNTIL)
    some = select(_a.id).where(*waits).order_by(_a.due).limit(bindparam("n", type_=Integer))
    return some.with_for_update(skip_locked=True)


def backlog(domain: ColumnElement[str]) -> Select[Any]:
    """Each figure by an index that has all that is asked of it: accounts_due, or accounts_asked, which has `due` behind
    the rest."""
    open_ = (_a.domain == domain, _a.paused == 0)

    def figure(what: ColumnElement[Any], *waits: ColumnElement[bool]) -> Any:
        found = select(what).select_from(accounts).where(*open_, *waits)
        return found.correlate_except(accounts).scalar_subquery()

    return select(
        figure(func.count(), _a.due <= _UNTIL),
        figure(func.count(), _a.asked > 0, _a.due + 0 <= _UNTIL),
        figure(func.min(_a.due), _a.due <= _UNTIL),
    )


_EARLIEST, _ASKED, _DUE, _BACKLOG = map(OfEach, (_earliest, _asked, _due, backlog))


class Backlog(NamedTuple):
    """Of a domain: how many accounts are due, how many of them were asked for, and for how many seconds the first
    has been."""

    due: int
    asked: int
    seconds: int


class Waits(enum.Enum):
    """What an account that was asked for waits for."""

    TURN = "its turn"
    END = "the end of its move"
    PAUSED = "the end of a pause"


class Queue:
    """The moves that wait. Times in seconds since 1970."""

    def __init__(
        self, database: AccountsDatabase, clock: Callable[[], float] | None = None, *, several: bool = False
    ) -> None:
        """`several`: other nodes may take from it, and this one may die with what it took."""
        self._database = database
        self._clock = clock or database.time
        self._several = several

    def _now(self) -> int:
        return int(self._clock())

    @property
    def instant(self) -> bool:
        """See `AccountsDatabase.instant`."""
        return self._database.instant

    def version(self) -> int:
        """See `AccountsDatabase.version`."""
        return self._database.version()

    # What the daemon asks

    def begin(self, every: int) -> None:
        """At a start: moves that did not get to their ends go on now, unless another node has them, and accounts whose
        mail is here are spread over the time of a round, `every` so many seconds; 0: there are no rounds."""
        now = self._now()
        anywhere = _spread(every)
        usual = (_a.state == State.MOVED.value, _a.asked.is_(None))
        elsewhere = exists().where(leases.c.domain == _a.domain, leases.c.local == _a.local)

        def spread(connection: Connection) -> None:
            interrupted = (_a.state == State.MOVING.value) | (_a.asked.is_not(None) & _a.due.is_(None))
            connection.execute(update(accounts).where(interrupted, ~elsewhere, *_MOVABLE).values(due=now))
            if not every:
                connection.execute(update(accounts).where(*usual, _a.due.is_not(None)).values(due=None))
                return
            astray = _a.due.is_(None) | (_a.due > now + every * 2)  # the round has become shorter
            connection.execute(update(accounts).where(*usual, astray, ~elsewhere, *_MOVABLE).values(due=now + anywhere))

        self._database.change(spread)

    def outlook(self, domains: Iterable[str]) -> dict[str, int]:
        """When the first account of each domain is due. Those are left out where none is, or that are paused."""
        with self._database.read() as connection:
            paused = set(connection.scalars(select(paused_domains.c.domain)))
            open_ = [domain for domain in domains if domain not in paused]
            return {domain: int(rows[0][0]) for domain, rows in _EARLIEST.rows(connection, open_)}

    def backlog(self, domains: Iterable[str]) -> dict[str, Backlog]:
        """What is due in each domain now. Of a domain that is paused nothing is. What is due is counted: entry by entry
        of an index, of which there are some ten to the microsecond."""
        now = self._now()
        found = dict.fromkeys(domains, Backlog(0, 0, 0))
        with self._database.read() as connection:
            closed = set(connection.scalars(select(paused_domains.c.domain)))
            open_ = [domain for domain in found if domain not in closed]
            for domain, ((due, asked, first),) in _BACKLOG.rows(connection, open_, now=now):
                found[domain] = Backlog(due, asked, 0 if first is None else max(0, now - first))
        return found

    def take(self, domains: Sequence[str], most: int, *, asked_only: bool = False) -> list[Account]:
        """Up to `most` accounts that are due: those first that were asked for, and of each kind one of each domain in
        turn, in the order of `domains`. They are not due any more, or only after a while where this node may die with
        them: who takes them says how it went."""
        now = self._now()
        with self._database.write() as connection:
            chosen: dict[int, None] = {}
            for question in (_ASKED,) if asked_only else (_ASKED, _DUE):
                # Of many domains one each will do, unless few have any.
                for of_each in dict.fromkeys((1 + most // max(1, len(domains)), most)):
                    if len(chosen) < most:
                        found = [rows for _, rows in question.rows(connection, domains, now=now, n=of_each)]
                        chosen.update((row[0], None) for row in _in_turn(found))
            numbers = list(islice(chosen, most))
            if not numbers:
                return []
            again = now + TAKEN if self._several else None
            connection.execute(update(accounts).where(_a.id.in_(numbers)).values(due=again))
            rows = connection.execute(select(*_COLUMNS).where(_a.id.in_(numbers))).all()
            taken = {row.id: account_of(row._asdict()) for row in rows}
        return [taken[number] for number in numbers if taken[number].movable]

    def put_off(self, domains: Sequence[str], reason: str, seconds: int) -> None:
        """Their legacy server cannot be asked: whoever was asked for and waits is told so, and is due again later."""
        later = self._now() + seconds + _spread(seconds)
        waits = (_a.domain.in_(domains), _a.paused == 0, _a.asked.is_not(None), _a.due.is_not(None))
        values = {"asked": None, "again": 0, "reason": storable(reason), "due": later}
        self._database.run(update(accounts).where(*waits).values(values))

    def paused_of(self, account_ids: Iterable[int]) -> list[int]:
        """Those of the accounts that are paused, each by itself or with its domain."""
        found: list[int] = []
        whole = _a.domain.in_(select(paused_domains.c.domain))
        with self._database.read() as connection:
            for some in _batches(account_ids):
                found += connection.scalars(select(_a.id).where(_a.id.in_(some), (_a.paused == 1) | whole))
        return found

    # What an administrator asks

    def ask(self, account_ids: Iterable[int], *, again: bool = False, trace: str = "") -> None:
        """Move them now, ahead of what is due by itself. `again`: ask for what is in quarantine as well, and let
        those that are blocked go on. `trace` is what the log says of who asked, and will say of the moves."""
        now = self._now()
        values: dict[str, object] = {"asked": now, "due": now, "tries": 0, "trace": trace}
        if again:
            whole = case((_a.refreshed.is_not(None), State.MOVED.value), else_=State.MOVING.value)
            values |= {"again": 1, "state": case((_a.state == State.BLOCKED.value, whole), else_=_a.state)}
        self._each(account_ids, values)

    def no_longer(self, account_ids: Iterable[int]) -> None:
        """Whoever asked for these has gone: they wait as they did."""
        self._each(account_ids, {"asked": None, "again": 0})

    def asked(self, domains: Iterable[str]) -> dict[int, Waits]:
        """The accounts that were asked for and are not done, and what they wait for."""
        found: dict[int, Waits] = {}
        with self._database.read() as connection:
            closed = set(connection.scalars(select(paused_domains.c.domain)))
            for domain in domains:
                for paused in (0, 1):
                    where = (_a.domain == domain, _a.paused == paused, _a.asked.is_not(None))
                    waits = Waits.PAUSED if paused or domain in closed else Waits.TURN
                    for number, due in connection.execute(select(_a.id, _a.due).where(*where)):
                        found[number] = waits if due is not None else Waits.END
        return found

    def of(self, account_ids: Iterable[int]) -> Iterator[Account]:
        """These accounts."""
        for some in _batches(account_ids):
            with self._database.read() as connection:
                rows = connection.execute(select(*_COLUMNS).where(_a.id.in_(some))).all()
            yield from (account_of(row._asdict()) for row in rows)

    def pause(self, account_ids: Iterable[int], *, paused: bool) -> None:
        """Leave the legacy server alone for these accounts, or no longer."""
        self._each(account_ids, {"paused": int(paused)})

    def _each(self, account_ids: Iterable[int], values: Mapping[str, object]) -> None:
        for some in _batches(account_ids):
            self._database.run(update(accounts).where(_a.id.in_(some)).values(values))

    def pause_domain(self, domain: str, *, paused: bool) -> None:
        """The same for a whole domain, with those accounts that are not here yet. Ending it ends the pause of each
        of its accounts, too."""

        def pause(connection: Connection) -> None:
            connection.execute(delete(paused_domains).where(paused_domains.c.domain == domain))
            if paused:
                connection.execute(insert(paused_domains).values(domain=domain, since=self._now()))
            else:
                connection.execute(update(accounts).where(_a.domain == domain, _a.paused == 1).values(paused=0))

        self._database.change(pause, Turn.ADMINISTRATION)

    def paused_domains(self) -> Mapping[str, int]:
        """The domains that are paused, and since when."""
        with self._database.read() as connection:
            rows = connection.execute(select(paused_domains.c.domain, paused_domains.c.since).order_by("domain"))
            return {row.domain: row.since for row in rows}


def _spread(seconds: int) -> ColumnElement[int]:
    """Each account's own time within so many seconds: they come one after the other, not all at once."""
    return _a.id * 7_919 % max(seconds, 1)


def _in_turn(lists: Sequence[Sequence[T]]) -> Iterator[T]:
    """The first of each, the second of each, …"""
    for row in zip_longest(*([(item,) for item in one] for one in lists)):
        yield from (item[0] for item in row if item is not None)


def _batches(numbers: Iterable[int]) -> Iterator[list[int]]:
    left = iter(numbers)
    while some := list(islice(left, BATCH)):
        yield some
