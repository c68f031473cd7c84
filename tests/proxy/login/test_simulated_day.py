"""The simulator of `tests.bench`: it comes to what can be worked out by hand, and to the same over either store."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator

import pytest

from mailstore import secrets
from tests.bench.simulate import report, sqlite_store, table
from tests.bench.simulating.clock import HeapClock
from tests.bench.simulating.day import Day, Plan
from tests.bench.simulating.legacy import Mailboxes, Server


@pytest.fixture(autouse=True)
def hasher() -> Iterator[None]:
    """The one for real passwords is back afterwards."""
    kept = secrets._hasher
    yield
    secrets._hasher = kept
    gc.collect()


def alike(messages: int) -> Mailboxes:
    """Mailboxes that are all the same."""
    return Mailboxes(messages, messages, 1_000)


def test_one_connection_serves_one_after_the_other() -> None:
    """D/D/1: users who come nearly at once wait for all before them, and are all in when the sum has passed."""
    server = Server(connections=1, round_trip=0.02, messages=10.0, login=0.0)
    plan = Plan(
        accounts=40,
        active=1.0,
        logins=1,
        peak=1.0,
        peak_minutes=0.0,
        clumsy=0.0,
        stubborn=0.0,
        hours=10.0,
        nodes=1,
        connections=1,
        server=server,
        mailboxes=alike(100),
    )
    day = Day(plan).run()
    waits = sorted(wait for hour in day.hours for wait in hour.waits)
    each = 100 / 10.0
    assert len(waits) == 40 and day.old.most == 1 and not day.log.errors
    assert waits[-1] == pytest.approx(40 * each, rel=0.05)
    assert sum(waits) / 40 == pytest.approx(each * 41 / 2, rel=0.05)


def test_a_steady_stream_waits_as_long_as_a_queue_of_its_kind() -> None:
    """M/D/c: with many servers and a load of a half hardly anybody waits; the mean is the service's own time."""
    server = Server(connections=8, round_trip=0.02, messages=50.0, login=0.0)
    plan = Plan(
        accounts=600,
        active=1.0,
        logins=1,
        peak=0.0,
        clumsy=0.0,
        stubborn=0.0,
        hours=21.0,
        nodes=1,
        connections=8,
        server=server,
        mailboxes=alike(1_000),
    )
    day = Day(plan).run()
    waits = [wait for hour in day.hours for wait in hour.waits]
    assert len(waits) == 600
    assert 20.0 < sum(waits) / len(waits) < 22.0  # 1,000 messages at 50 a second, and what a login takes
    assert max(day.old.most, 0) <= 8
    assert math.isclose(day.old.octets, sum(day.old.mailboxes.size(n)[1] for n in range(1, 601)), rel_tol=0.01)


def test_a_morning_is_the_same_over_memory_and_over_the_real_database() -> None:
    """With an outage in it, wrong passwords, and a host that lets in fewer than are allowed."""
    server = Server(connections=3, messages=40.0, outages=[(9 * 3600 - 300.0, 9 * 3600 + 120.0)])
    plan = Plan(
        accounts=60,
        active=1.0,
        logins=1,
        peak=1.0,
        peak_minutes=5,
        clumsy=0.1,
        stubborn=0.05,
        hours=10.0,
        nodes=1,
        connections=6,
        gives_up=100,
        server=server,
        mailboxes=Mailboxes(100, 2_000, 10_000),
    )
    by_memory = Day(plan).run()
    over_sqlite = Day(plan, sqlite_store(plan.accounts)).run()
    for day in (by_memory, over_sqlite):
        assert len(day.inside) == 60 and day.states == {"moved": 60} and not day.log.errors
        assert day.old.most <= 3 and day.old.turned_away
        assert day.old.lockouts == 0  # nobody's guesses have locked anybody out there
        assert any("users came" in line for line in table(report(day)))
    assert by_memory.old.messages == over_sqlite.old.messages
    ended = [max(i for i, hour in enumerate(day.hours) if hour.moves) for day in (by_memory, over_sqlite)]
    assert ended[0] == ended[1]
    over_sqlite.accounts.ended()


def test_nodes_share_the_host_and_never_open_a_mailbox_twice() -> None:
    """The product's leases and places: whichever node a login comes to, and two programs of one user at once."""
    server = Server(connections=4, messages=40.0, outages=[(9 * 3600 - 300.0, 9 * 3600 + 120.0)])
    plan = Plan(
        accounts=80,
        active=1.0,
        logins=2,
        at_once=0.8,
        peak=1.0,
        peak_minutes=5,
        clumsy=0.1,
        stubborn=0.05,
        hours=11.0,
        nodes=3,
        connections=4,
        gives_up=100,
        server=server,
        mailboxes=Mailboxes(100, 2_000, 10_000),
    )
    day = Day(plan).run()
    assert len(day.inside) == 80 and day.states == {"moved": 80} and not day.log.errors
    assert day.old.doubled == 0 and day.old.turned_away == 0 and day.old.most == 4
    assert day.old.lockouts == 0
    counts = day.shared.counts
    assert counts["leases"] >= 80 and counts["fences"] >= 3 * 80
    assert counts["looks at a lease"] > counts["leases"]  # some waited for another node's
    assert any("3 nodes" in line for line in table(report(day)))


def test_the_clock_keeps_to_its_calls_times() -> None:
    clock, seen = HeapClock(), []
    late = clock.callLater(5, seen.append, "late")
    clock.callLater(1, seen.append, "first")
    gone = clock.callLater(2, seen.append, "gone")
    put_off = clock.callLater(3, seen.append, "put off")
    gone.cancel()
    put_off.delay(10)
    late.reset(2)
    clock.run(4)
    assert (seen, clock.seconds()) == (["first", "late"], 4)
    clock.run(20)
    assert seen[-1] == "put off"
