"""`proxy.admin.overview`: rate, expected end, curve and departments."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import insert

from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.overview import Figures
from mailstore.queue import Queue
from mailstore.samples import Sample, Samples
from mailstore.schema import samples
from proxy.admin.overview import POINTS, Pace, Watching, pace, tree

NOW = 1_700_000_000


def at(seconds_ago: int, octets: int, messages: int = 0) -> Sample:
    return Sample(NOW - seconds_ago, 0, 0, 0, 0, 0, messages, octets)


MOVING = Figures(accounts=10, known=5, messages_done=500, messages_listed=1000, bytes_done=50_000, bytes_listed=100_000)


def test_the_rate_is_that_of_the_last_five_minutes() -> None:
    found = pace(MOVING, [at(900, 0), at(300, 20_000, 200), at(60, 45_000, 450)], NOW)
    assert (found.bytes_rate, found.messages_rate) == (100.0, 1.0)


def test_what_is_to_come_counts_those_who_never_logged_in_as_average() -> None:
    found = pace(MOVING, [at(300, 20_000, 200)], NOW)
    assert (found.bytes_left, found.messages_left, found.estimated) == (150_000, 1_500, True)
    assert found.ends == NOW + 1_500
    known = Figures(accounts=5, known=5, messages_listed=1000, bytes_done=50_000, bytes_listed=100_000)
    assert not pace(known, [at(300, 20_000)], NOW).estimated


def test_a_row_from_long_ago_held_until_five_minutes_ago() -> None:
    assert pace(MOVING, [at(86_400, 20_000, 200)], NOW).bytes_rate == 100.0


def test_a_daemon_that_has_just_begun() -> None:
    assert pace(MOVING, [at(100, 40_000)], NOW).bytes_rate == 100.0
    assert not pace(MOVING, [at(5, 40_000)], NOW).moves
    assert not pace(MOVING, [], NOW).moves
    assert [pace(MOVING, [at(ago, 40_000)], NOW).measured for ago in (5, 10)] == [False, True]


def test_nothing_moves_so_nothing_ends() -> None:
    assert pace(MOVING, [at(300, 50_000, 500)], NOW) == Pace(0, 0, 1_500, 150_000, estimated=True, measured=True)
    assert pace(Figures(), [], NOW) == Pace()


def test_an_end_in_years_is_none() -> None:
    slow = Figures(accounts=1, known=1, bytes_done=1, bytes_listed=10**12)
    assert pace(slow, [at(300, 0)], NOW).ends is None


def test_mail_that_becomes_less_is_no_negative_rate() -> None:
    assert not pace(MOVING, [at(300, 60_000, 600)], NOW).moves


def test_departments_as_a_tree() -> None:
    found = tree({"": Figures(1), "R&D/Mail/Tests": Figures(2), "R&D": Figures(4), "Sales": Figures(8, waiting=3)})
    walked = [
        (node.path, node.name, node.depth, node.own.accounts, node.whole.accounts)
        for top in found
        for node in top.walk()
    ]
    assert walked == [
        ("", "", 0, 1, 1),
        ("R&D", "R&D", 0, 4, 6),
        ("R&D/Mail", "Mail", 1, 0, 2),
        ("R&D/Mail/Tests", "Tests", 2, 2, 2),
        ("Sales", "Sales", 0, 8, 8),
    ]


def test_domains_from_the_database(tmp_path: Path) -> None:
    database = AccountsDatabase(tmp_path / "accounts.db")
    accounts = Accounts(database, lambda: NOW)
    account = accounts.admit("li", "123.com", b"sealed")
    Samples(database, lambda: NOW - 300).take()
    accounts.progress(account.id, (30, 60), (3_000, 9_000))
    Queue(database, lambda: NOW).pause_domain("456.com", paused=True)
    first, second = Watching(database, lambda: NOW).domains(["456.com", "123.com"])
    assert (first.name, first.pace.bytes_rate, first.pace.ends, first.done, first.share) == (
        "123.com",
        10.0,
        NOW + 600,
        0,
        0.0,
    )
    assert [sample.bytes for sample in first.samples] == [0, 3_000]
    assert (second.name, second.figures, second.paused, second.share) == ("456.com", Figures(), NOW, 0.0)
    view, departments = Watching(database, lambda: NOW).domain("123.com")
    assert view == first
    assert [(node.path, node.whole) for node in departments] == [("", first.figures)]
    database.close()


def test_a_long_curve_is_thinned_and_the_rate_is_not(tmp_path: Path) -> None:
    database = AccountsDatabase(tmp_path / "accounts.db")
    Accounts(database, lambda: NOW).add("li", "123.com")
    with database.write() as connection:
        values = [{"domain": "123.com", "taken": NOW - 60 * n, "messages": 10_000 - n} for n in range(1, 3_000)]
        connection.execute(insert(samples), values)
    watching = Watching(database, lambda: NOW)
    short, (long, _) = watching.one("123.com"), watching.domain("123.com", since=NOW - 86_400)
    assert len(short.samples) == 6
    assert POINTS // 2 < len(long.samples) <= POINTS
    assert long.samples[0].taken == NOW - 86_400
    assert [long.samples[-1], long.pace] == [short.samples[-1], short.pace]
    assert watching.domains([], since=NOW - 86_400) == [long]
    assert watching.one("456.com").figures == Figures()
    database.close()
