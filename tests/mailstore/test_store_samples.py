"""`mailstore.samples`: rows for the curve, few and enough."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from sqlalchemy import func, insert, select

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.samples import DAY, OLDEST, Samples
from mailstore.schema import samples as table
from tests.postgres.accounts import BOTH

DATABASES = BOTH

NOW = 1_700_000_000


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rows(database: AccountsDatabase, clock: Clock) -> Samples:
    return Samples(database, clock)


def times(rows: Samples) -> list[int]:
    return [sample.taken - NOW for sample in rows.of("123.com")]


def test_nothing_to_say_of_nobody(rows: Samples) -> None:
    assert rows.take() == 0


def test_a_row_a_minute_at_most_and_only_of_what_changed(
    database: AccountsDatabase, rows: Samples, clock: Clock
) -> None:
    accounts = Accounts(database, clock)
    accounts.add("a", "123.com")
    assert [rows.take(), rows.take()] == [1, 0]
    accounts.add("b", "123.com")
    clock.now += 59
    assert rows.take() == 0
    clock.now += 1
    assert rows.take() == 1
    clock.now += 60
    assert rows.take() == 0
    assert times(rows) == [0, 60]
    last = rows.of("123.com")[-1]
    assert (last.waiting, last.moved, last.messages, last.bytes) == (2, 0, 0, 0)


def test_what_stood_still_is_flat_until_it_moves(database: AccountsDatabase, rows: Samples, clock: Clock) -> None:
    accounts = Accounts(database, clock)
    account = accounts.admit("a", "123.com", b"sealed")
    rows.take()
    clock.now += 3600
    accounts.progress(account.id, (5, 10), (500, 1000))
    assert rows.take() == 2
    assert times(rows) == [0, 3540, 3600]
    assert [sample.bytes for sample in rows.of("123.com")] == [0, 0, 500]


def test_domains_have_rows_of_their_own(database: AccountsDatabase, rows: Samples, clock: Clock) -> None:
    accounts = Accounts(database, clock)
    accounts.add("a", "123.com")
    accounts.add("a", "456.com")
    assert rows.take() == 2
    clock.now += 60
    accounts.add("b", "456.com")
    assert rows.take() == 1
    assert (len(rows.of("123.com")), len(rows.of("456.com"))) == (1, 2)


def test_from_a_time_on_with_what_held_then(database: AccountsDatabase, rows: Samples, clock: Clock) -> None:
    accounts = Accounts(database, clock)
    for name in "abc":
        accounts.add(name, "123.com")
        rows.take()
        clock.now += 100
    assert [sample.taken - NOW for sample in rows.of("123.com", NOW + 150)] == [100, 200]
    assert [sample.taken - NOW for sample in rows.of("123.com", NOW + 200)] == [200]
    assert [sample.taken - NOW for sample in rows.of("123.com", NOW - 5)] == [0, 100, 200]


@pytest.mark.parametrize(
    "times",
    [range(0, 5_000, 7), [n**3 for n in range(40)], [0, 1, 2, *range(900_000, 900_100)]],
    ids=["even", "ever rarer", "a gap"],
)
def test_as_many_as_a_curve_can_show(database: AccountsDatabase, rows: Samples, times: Sequence[int]) -> None:
    """The first, and of each step of time the last one."""
    with database.write() as connection:
        connection.execute(
            insert(table),
            [{"domain": name, "taken": t, "bytes": t + 1} for name in ("123.com", "456.com") for t in times],
        )
    begin, end = times[1], times[-1]  # the second is the last one before that time
    by_step = {(t - begin) * 18 // (end - begin): t for t in times[2:]}
    found = rows.of("123.com", times[2] - 1, most=20)
    assert [sample.taken for sample in found] == [begin, *by_step.values()]
    assert len(found) <= 20
    assert all(sample.bytes == sample.taken + 1 for sample in found)
    last = rows.of("123.com", times[-2], most=20)
    assert [sample.taken for sample in last] == list(times[-2:])
    assert rows.of("nobody.example", most=20) == []


def test_of_several_domains_at_one_moment(database: AccountsDatabase, rows: Samples) -> None:
    with database.write() as connection:
        connection.execute(
            insert(table), [{"domain": name, "taken": NOW + n} for name in ("123.com", "456.com") for n in (0, 5, 9)]
        )
    found = rows.of_each(["456.com", "nobody.example", "123.com"], NOW + 6)
    assert {name: [sample.taken - NOW for sample in some] for name, some in found.items()} == {
        "456.com": [5, 9],
        "nobody.example": [],
        "123.com": [5, 9],
    }


def test_a_clock_that_was_ahead_does_not_stop_the_curve(
    database: AccountsDatabase, rows: Samples, clock: Clock
) -> None:
    accounts = Accounts(database, clock)
    accounts.add("a", "123.com")
    clock.now += DAY
    rows.take()
    clock.now -= DAY
    assert rows.take() == 1
    assert times(rows) == [0]


@pytest.mark.parametrize("database", ["file"], indirect=True)
def test_years_of_samples_stay_a_few_thousand(database: AccountsDatabase, rows: Samples) -> None:
    """A row for each minute of two days, each ten minutes of eight, and each hour of two years."""
    spans = ((2 * DAY, 60), (8 * DAY, 600), (730 * DAY, 3600))
    taken = {time for span, every in spans for time in range(NOW - span, NOW, every)}
    with database.write() as connection:
        values = [{"domain": domain, "taken": t, "messages": t} for domain in ("123.com", "456.com") for t in taken]
        connection.execute(insert(table), values)
    assert rows.thin() > 20_000
    with database.read() as connection:
        counts = dict(
            tuple(row) for row in connection.execute(select(table.c.domain, func.count()).group_by(table.c.domain))
        )
    assert all(4_000 < count <= 1_440 + 864 + 552 + 1_480 + 10 for count in counts.values())
    kept = [sample.taken for sample in rows.of("123.com")]
    assert kept[0] >= NOW - OLDEST and kept[-1] == NOW - 60
    assert max(later - earlier for earlier, later in pairwise(kept)) <= 2 * 21_600
    assert rows.thin() == 0
