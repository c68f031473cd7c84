"""What nodes together ask of a legacy host: never more than its limit, and whoever waits gets a place."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from mailstore import allotment, membership, said_no
from mailstore.allotment import Allotted, Part, Wish, entitled

HOST = "pop.old.123.com:110"


@pytest.fixture
def engine(made: Engine) -> Engine:
    with made.begin() as connection:
        for table in ("nodes", "places", "host_logins", "host_pauses", "said_no"):
            connection.execute(text(f"DELETE FROM {table}"))
    return made


class Asking:
    """A node."""

    def __init__(self, engine: Engine, limit: int, per_minute: int | None = None) -> None:
        self.engine, self.limit, self.per_minute = engine, limit, per_minute
        with engine.begin() as connection:
            self.number = membership.join(connection, "node", 60_000)
        self.places = self.in_use = 0

    def ask(self, wanted: int, held: int = 0, logins: int = 0) -> Allotted:
        wish = Wish(wanted, held, self.in_use, logins)
        with self.engine.begin() as connection:
            found = allotment.allot(connection, HOST, self.number, self.limit, wish, per_minute=self.per_minute)
        self.places = found.places
        return found

    def die(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE nodes SET until = 0 WHERE id = :id"), {"id": self.number})
            membership.bury(connection)


def test_who_is_alone_gets_what_there_is(engine: Engine) -> None:
    a = Asking(engine, 5)
    assert a.ask(3).places == 3
    assert a.ask(9).places == 5
    assert a.ask(0) == Allotted(5, short=False, too_many=0, logins=0, again=0, paused=0, changed=False)  # at hand


def test_what_is_not_in_use_goes_to_who_is_short(engine: Engine) -> None:
    a, b = Asking(engine, 4), Asking(engine, 4)
    a.ask(4)
    a.in_use = 1
    assert b.ask(2).places == 0
    found = a.ask(1)
    assert (found.places, found.changed) == (1, True)
    assert b.ask(2).places == 2


def test_a_user_who_waits_goes_before_what_nobody_waits_for(engine: Engine) -> None:
    a, b = Asking(engine, 2), Asking(engine, 2)
    a.ask(2)
    a.in_use = 2
    found = b.ask(1, held=1)
    assert (found.places, found.changed) == (0, True)
    assert a.ask(2).too_many == 1  # one of its moves has to give way
    a.in_use = 1
    assert a.ask(2).places == 1
    assert b.ask(1, held=1).places == 1


def test_who_waits_for_the_one_place_gets_it_in_turn(engine: Engine) -> None:
    a, b = Asking(engine, 1), Asking(engine, 1)
    holder, other = a, b
    assert holder.ask(1, held=1).places == 1
    for _ in range(4):
        holder.in_use = 1
        assert other.ask(1, held=1).places == 0
        holder.in_use = 0
        found = holder.ask(1, held=1)  # somebody else waits here, too
        assert (found.places, found.changed) == (0, True)
        assert other.ask(1, held=1).places == 1  # who is told so
        holder, other = other, holder


def test_the_dead_have_no_places(engine: Engine) -> None:
    a, b = Asking(engine, 3), Asking(engine, 3)
    a.ask(3)
    a.in_use = 3
    assert b.ask(1, held=1).places == 0
    a.die()
    assert b.ask(1, held=1).places == 1
    assert a.ask(1).places == 0


def test_logins_of_a_minute_are_counted_together(engine: Engine) -> None:
    a, b = Asking(engine, 50, per_minute=5), Asking(engine, 50, per_minute=5)
    assert a.ask(4, logins=4).logins == 4
    found = b.ask(4, logins=4)
    assert found.logins == 1
    assert 50_000 < found.again <= allotment.WINDOW
    with engine.begin() as connection:
        connection.execute(text("UPDATE host_logins SET at = at - 70000"))
    assert b.ask(4, logins=3).logins == 3


def test_a_host_that_is_busy_is_left_alone_by_all(engine: Engine) -> None:
    a, b = Asking(engine, 5), Asking(engine, 5)
    assert a.ask(1).paused == 0
    with engine.begin() as connection:
        allotment.pause(connection, HOST, 30_000)
        allotment.pause(connection, HOST, 1_000)  # the longer one counts
    assert 20_000 < b.ask(1).paused <= 30_000


def test_wrong_passwords_are_counted_together(engine: Engine) -> None:
    with engine.begin() as connection:
        for _ in range(3):
            said_no.add(connection, "one")
        said_no.add(connection, "other")
        assert said_no.count(connection, "one", 600) == 3
        connection.execute(text("UPDATE said_no SET at = at - 700000 WHERE mailbox = 'other'"))
        assert said_no.count(connection, "other", 600) == 0
        said_no.sweep(connection, 600)
        said_no.forget(connection, "one")
        assert connection.scalar(text("SELECT count(*) FROM said_no")) == 0


parts = st.builds(lambda places, held, more: Part(places, held + more, held), *[st.integers(0, 6)] * 3)


@given(st.dictionaries(st.integers(1, 9), parts, min_size=1, max_size=4), st.integers(1, 12))
def test_who_is_entitled_to_what(nodes: dict[int, Part], limit: int) -> None:
    due = entitled(nodes, limit)
    assert sum(due.values()) == min(limit, sum(part.wanted for part in nodes.values()))
    assert all(0 <= due[number] <= part.wanted for number, part in nodes.items())
    for one, other in ((due[a], due[b]) for a in nodes for b in nodes if nodes[a][1:3] == nodes[b][1:3]):
        assert abs(one - other) <= 2  # alike, but for an odd one of each kind
    users = sum(part.held for part in nodes.values())
    if users <= limit:
        assert all(due[number] >= part.held for number, part in nodes.items())


steps = st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))


@settings(max_examples=15)
@given(st.lists(steps, max_size=25), st.integers(1, 5))
def test_never_more_than_the_limit(made: Engine, played: list[tuple[int, int, int, int]], limit: int) -> None:
    with made.begin() as connection:
        for table in ("nodes", "places"):
            connection.execute(text(f"DELETE FROM {table}"))
    nodes = [Asking(made, limit) for _ in range(3)]
    for who, held, more, used in played:
        node = nodes[who]
        node.in_use = min(used, node.places)
        node.ask(max(node.in_use, held + more), held)
        assert node.places >= node.in_use
        assert sum(each.places for each in nodes) <= limit
