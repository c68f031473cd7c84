"""Nodes as the gate and the mover have them: who gets an account, who waits for it, and who has lost it; and what each
may ask of a legacy host. Two nodes in one process, with one database and a clock each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mailstore import membership
from mailstore.accounts import Account, Accounts
from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.errors import LeaseLost, StorageFailed
from mailstore.leases import Elsewhere, Lease
from mailstore.postgres import address, postgres_engine
from mailstore.telling import NotConnected
from proxy.legacy.bandwidth import AHEAD, Bandwidth
from proxy.login import leasing
from proxy.login.allotting import Allotting, Ceiling
from proxy.login.leasing import Leased, MovesElsewhere, Tenure
from proxy.login.names import Name
from proxy.login.throttle import FAILURES
from proxy.migration.schedule import Errand, Limits, Place, Schedule, Urgency
from proxy.wire.door import Hold
from tests.postgres.server import PostgresServer
from tests.proxy.migration.scripted import direct
from tests.proxy.recording import RecordingLog

USER = Name("user", "123.com")
HOST = "pop.old.123.com:110"


class Wire:
    """What nodes tell each other, at once."""

    def __init__(self) -> None:
        self.nodes: list[ToldNodes] = []


class ToldNodes:
    """Stands for `proxy.login.nodes.Nodes`, over a connection of the test's."""

    def __init__(self, wire: Wire, engine: Engine) -> None:
        self._wire = wire
        self._on: dict[str, list[Callable[[int, str], None]]] = {}
        self.connection: Connection | None = engine.execution_options(isolation_level="AUTOCOMMIT").connect()
        wire.nodes.append(self)

    def on(self, kind: str, told: Callable[[int, str], None]) -> None:
        self._on.setdefault(kind, []).append(told)

    def tell(self, kind: str, about: int = 0, more: str = "") -> None:
        for other in self._wire.nodes:
            for told in other._on.get(kind, ()) if other is not self else ():
                told(about, more)

    def run(self, job: Callable[[Connection], Any]) -> Deferred[Any]:
        if self.connection is None:
            return fail(NotConnected())
        return succeed(job(self.connection))


class Node:
    def __init__(
        self, wire: Wire, database: AccountsDatabase, limits: Limits, octets_per_second: int | None = None
    ) -> None:
        assert database.engine is not None
        self.clock = Clock()
        self.log = RecordingLog()
        self.nodes = ToldNodes(wire, database.engine)
        self.accounts = Accounts(database)
        told: Any = self.nodes
        about: dict[str, Any] = {"reactor": self.clock, "in_thread": direct, "log": self.log}
        self.leased = Leased(told, database, self.accounts, **about)
        self.schedule = Schedule(limits, self.clock, chance=lambda: 0.5)
        self.bandwidth = None if octets_per_second is None else Bandwidth(octets_per_second, self.clock)
        hosts: Any = [SimpleNamespace(label=HOST, schedule=self.schedule, bandwidth=self.bandwidth)]
        self.allotting = Allotting(hosts, self.leased, told, database, **about)
        self.ceiling = Ceiling(database, direct, self.log)
        done(self.leased.start())
        self.allotting.start()

    def close(self) -> None:
        self.allotting.stop()
        self.schedule.stop()
        if self.bandwidth is not None:
            self.bandwidth.stop()
        done(self.leased.stop())
        if self.nodes.connection is not None:
            self.nodes.connection.close()

    def place(self, urgency: Urgency = Urgency.HELD, give_way: Callable[[], None] | None = None) -> Deferred[Place]:
        return self.schedule.acquire(Errand("123.com", urgency, give_way))


def done(work: Any) -> Any:
    """What has come of it by now. Raises as it did."""
    deferred = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
    found: list[Any] = []
    deferred.addBoth(found.append)
    assert found, "it is not done"
    if isinstance(found[0], Failure):
        found[0].raiseException()
    return found[0]


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[AccountsDatabase]:
    engine = postgres_engine(address(postgres.url(postgres.make_database())), connections=6)
    made = AccountsDatabase(AccountsServer(engine))
    yield made
    made.close()


Two = tuple[Node, Node]


@pytest.fixture
def limits() -> Limits:
    return Limits(2)


@pytest.fixture
def octets() -> int | None:
    return None


@pytest.fixture
def two(database: AccountsDatabase, limits: Limits, octets: int | None) -> Iterator[Two]:
    yield from make_two(database, limits, octets)


def make_two(database: AccountsDatabase, limits: Limits, octets: int | None = None) -> Iterator[Two]:
    with database.write() as connection:
        for table in ("nodes", "leases", "places", "host_logins", "host_pauses", "said_no", "accounts"):
            connection.execute(text(f"DELETE FROM {table}"))
    wire = Wire()
    nodes = Node(wire, database, limits, octets), Node(wire, database, limits, octets)
    yield nodes
    for node in nodes:
        node.close()


def pump(two: Two, seconds: float = 1.0) -> None:
    """Let both go on for so long."""
    for _ in range(int(seconds * 20)):
        for node in two:
            node.clock.advance(0.05)


def taken(node: Node, name: Name = USER) -> Tenure:
    tenure: Tenure = done(node.leased.take(name))
    return tenure


async def never(_account: Account) -> bool:
    return False


def refused(*_about: object) -> Any:
    raise StorageFailed("the database cannot be reached")


def waiting(node: Node, seen: Account | None = None) -> tuple[Deferred[None], Hold]:
    hold = Hold()
    return Deferred.fromCoroutine(node.leased.wait(USER, seen, hold, never)), hold


# Accounts


def test_an_account_is_one_nodes_until_all_who_took_it_there_have_left(two: Two) -> None:
    a, b = two
    first, second = taken(a), taken(a)
    assert first.number == second.number > 0
    first.leave()
    first.leave()
    with pytest.raises(MovesElsewhere, match=r"\(\d+\) moves this account"):
        done(b.leased.take(USER))
    second.leave()
    assert taken(b).number > first.number


def test_who_waits_sees_how_far_it_is_and_goes_on_at_once(two: Two) -> None:
    a, b = two
    tenure = taken(a)
    account = a.accounts.admit("user", "123.com", b"sealed", "hash")
    waits, hold = waiting(b, account)
    a.accounts.progress(account.id, (3, 9), (1, 2))
    pump(two)
    assert (hold.done, hold.total) == (3, 9)
    assert not waits.called
    tenure.leave()
    assert waits.called


def test_who_waits_goes_on_when_there_is_something_new_of_the_account(two: Two) -> None:
    a, b = two
    taken(a)
    waits, _ = waiting(b)  # nobody knows of the account yet
    pump(two)
    assert not waits.called
    a.accounts.admit("user", "123.com", b"sealed", "hash")
    pump(two, leasing.SELDOM)
    assert waits.called


def test_a_lease_that_cannot_be_given_back_is_given_back_later(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database was away just then, and the node lives on."""
    a, b = two
    tenure = taken(a)
    waits, _ = waiting(b)
    with monkeypatch.context() as away:
        away.setattr(a.leased, "_give_back", refused)
        tenure.leave()
    assert "lease not given back" in a.log.events()
    assert not waits.called
    a.clock.advance(leasing.EVERY)
    assert waits.called
    assert taken(b).number > tenure.number


def test_a_lease_that_was_taken_and_nobody_heard_of_it_is_given_back(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection broke after COMMIT."""
    a, b = two
    take = a.leased._take

    def unheard(name: Name, node: int) -> Lease | Elsewhere:
        take(name, node)
        return refused()

    with monkeypatch.context() as away:
        away.setattr(a.leased, "_take", unheard)
        with pytest.raises(StorageFailed):
            taken(a)
    with pytest.raises(MovesElsewhere):
        taken(b)
    a.clock.advance(leasing.EVERY)
    first = taken(b)
    first.leave()
    with monkeypatch.context() as away:
        away.setattr(a.leased, "_take", unheard)
        with pytest.raises(StorageFailed):
            taken(a)
    again = taken(a)  # before that
    a.clock.advance(leasing.EVERY)
    a.clock.advance(leasing.EVERY)
    with pytest.raises(MovesElsewhere):
        taken(b)
    a.leased.look(again.lease)


def test_who_stops_waiting_leaves_nothing_behind(two: Two) -> None:
    a, b = two
    taken(a)
    waits, _ = waiting(b)
    before = len(b.clock.getDelayedCalls())
    waits.addErrback(lambda _: None)
    waits.cancel()
    assert len(b.clock.getDelayedCalls()) == before - 1
    assert b.leased._waiting == {}


def test_a_node_that_could_not_say_that_it_is_there_has_lost_its_accounts(two: Two) -> None:
    a, b = two
    tenure, lost = taken(a), []
    tenure.lost = lambda: lost.append(tenure)
    number = a.leased.number
    a.nodes.connection, kept = None, a.nodes.connection
    a.clock.pump([1.0] * int(leasing.LONG + 2 * leasing.EVERY))
    assert lost == [tenure]
    assert "this node has lost its accounts" in a.log.events()
    with pytest.raises(StorageFailed):
        done(a.leased.take(USER))
    a.nodes.connection = kept
    a.clock.advance(leasing.EVERY)
    assert a.leased.number not in {None, number}
    assert taken(a).number > tenure.number
    tenure.leave()  # harmless
    with pytest.raises(MovesElsewhere):
        done(b.leased.take(USER))


def test_a_node_that_was_taken_for_dead_is_another_one_then(two: Two, database: AccountsDatabase) -> None:
    a, b = two
    died: list[bool] = []
    a.leased.others_died = b.leased.others_died = lambda: died.append(True)
    tenure, lost = taken(a), []
    tenure.lost = lambda: lost.append(tenure)
    with database.write() as connection:
        connection.execute(text("UPDATE nodes SET until = 0 WHERE id = :id"), {"id": a.leased.number})
    after = taken(b)
    assert len(died) == 2  # its connections to legacy servers may not have ended: both know
    a.clock.advance(leasing.EVERY)
    assert lost == [tenure]
    fence = tenure.fence
    assert fence is not None
    with database.write() as connection, pytest.raises(LeaseLost):
        fence(connection)
    with pytest.raises(MovesElsewhere):
        done(a.leased.take(USER))
    after.leave()
    taken(a)


def test_one_lease_that_is_gone_is_noticed_by_itself(two: Two, database: AccountsDatabase) -> None:
    a, _ = two
    gone, kept = taken(a), taken(a, Name("other", "123.com"))
    lost: list[Tenure] = []
    gone.lost, kept.lost = (lambda: lost.append(gone)), (lambda: lost.append(kept))
    with database.write() as connection:
        connection.execute(text("DELETE FROM leases WHERE fence = :fence"), {"fence": gone.number})
    a.clock.advance(leasing.EVERY)
    assert lost == [gone]


def test_the_dead_are_buried_by_whoever_lives(two: Two, database: AccountsDatabase) -> None:
    a, b = two
    taken(a)
    with database.write() as connection:
        connection.execute(text("UPDATE nodes SET until = 0 WHERE id = :id"), {"id": a.leased.number})
    b.clock.advance(leasing.EVERY)
    assert "node is dead: others go on with its moves" in b.log.events()
    with database.read() as connection:
        assert len(membership.every(connection)) == 1
        assert connection.scalar(text("SELECT count(*) FROM leases")) == 0


# Legacy hosts


def test_a_place_is_there_for_who_waits_and_comes_back_for_others(two: Two) -> None:
    a, b = two
    first, second, third = a.place(), a.place(), b.place()
    pump(two)
    assert first.called
    assert second.called
    assert not third.called
    done(first).release()
    pump(two)
    assert third.called
    done(second).release()
    done(third).release()


@pytest.mark.parametrize("limits", [Limits(1)])
def test_what_nobody_waits_for_gives_way_to_a_user_on_another_node(two: Two) -> None:
    a, b = two
    asked: list[bool] = []
    moving = a.place(Urgency.ROUND, lambda: asked.append(True))
    pump(two)
    assert moving.called
    user = b.place()
    pump(two)
    assert asked == [True]
    assert not user.called
    done(moving).release()
    pump(two)
    done(user).release()


def test_background_moves_have_places_of_what_is_left(two: Two) -> None:
    a, b = two
    pump(two)
    assert a.schedule.spare == 0
    a.schedule.more_due = True
    a.schedule.demand()
    pump(two)
    assert a.schedule.spare == 2
    b.schedule.more_due = True
    b.schedule.demand()
    pump(two)
    assert (a.schedule.spare, b.schedule.spare) == (1, 1)


def test_a_host_that_was_busy_here_is_left_alone_there(two: Two) -> None:
    a, b = two
    first = a.place()
    pump(two)
    place = done(first)
    place.busy()
    place.release()
    second = b.place()
    pump(two, 0.5)
    assert not second.called
    pump(two, 3)
    done(second).release()


@pytest.mark.parametrize("limits", [Limits(10, 3)])
def test_logins_of_a_minute_are_those_of_all(two: Two, database: AccountsDatabase) -> None:
    a, b = two
    places = [node.place() for node in (a, b, a, b)]
    pump(two)
    assert sum(place.called for place in places) == 3
    with database.write() as connection:
        connection.execute(text("UPDATE host_logins SET at = at - 70000"))
    pump(two, 70)
    for place in places:
        done(place).release()


def test_a_node_that_is_dead_asks_no_more(two: Two) -> None:
    a, _ = two
    first = a.place()
    pump(two)
    done(first).release()
    a.nodes.connection, kept = None, a.nodes.connection
    a.clock.pump([1.0] * int(leasing.LONG + 2 * leasing.EVERY))
    second = a.place()
    pump(two)
    assert not second.called
    a.nodes.connection = kept
    pump(two, leasing.EVERY)
    done(second).release()


def test_wrong_passwords_reach_a_mailbox_no_more_often_from_all_than_from_one(two: Two) -> None:
    a, b = two
    for number in range(FAILURES):
        node = (a, b)[number % 2]
        assert done(node.ceiling.may_ask("mailbox"))
        done(node.ceiling.said_no("mailbox"))
    assert not done(a.ceiling.may_ask("mailbox"))
    assert not done(b.ceiling.may_ask("mailbox"))
    assert done(b.ceiling.may_ask("another"))
    done(a.ceiling.said_yes("mailbox"))
    assert done(b.ceiling.may_ask("mailbox"))


# Octets a second

RATE = 100_000


class Reader:
    """A connection whose server sends as fast as it is read from."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.octets = 0
        self.paused = False

    def pause(self, _why: object) -> None:
        self.paused = True

    def resume(self, _why: object) -> None:
        self.paused = False

    def read(self, octets: int) -> None:
        if not self.paused and self._node.bandwidth is not None:
            self.octets += octets
            self._node.bandwidth.took(self, octets)


def read_for(two: Two, seconds: float, *readers: Reader, octets: int = 8_192) -> list[float]:
    """Let these read what they may; gives back how many octets a second each has got."""
    before = [reader.octets for reader in readers]
    for _ in range(int(seconds * 20)):
        for reader in readers:
            reader.read(octets)
        pump(two, 0.05)
    return [(reader.octets - had) / seconds for reader, had in zip(readers, before, strict=True)]


@pytest.mark.parametrize("octets", [RATE])
def test_octets_of_a_second_are_those_of_all(two: Two) -> None:
    a, b = two
    readers = [Reader(a), Reader(a), Reader(b)]
    read_for(two, 15, *readers)
    got = read_for(two, 40, *readers)
    assert 0.95 * RATE < sum(got) < 1.03 * RATE
    assert abs(got[2] - RATE / 2) < 0.1 * RATE  # evenly among nodes that would have more
    total, seconds = sum(reader.octets for reader in readers), a.clock.seconds()
    assert total <= RATE * (seconds + 2 * AHEAD) + 3 * 8_192  # at no time more than that, from the first moment on


@pytest.mark.parametrize("octets", [RATE])
def test_what_a_node_does_not_read_others_do(two: Two) -> None:
    a, b = two
    both = Reader(a), Reader(b)
    read_for(two, 20, *both)
    read_for(two, 20, both[0])  # the other one has come to its end
    (got,) = read_for(two, 20, both[0])
    assert got > 0.95 * RATE
    pump(two, 20)
    assert read_for(two, 20, both[1])[0] > 0.9 * RATE


@pytest.mark.parametrize("octets", [RATE])
def test_a_node_whose_server_is_slow_leaves_the_rest(two: Two) -> None:
    a, b = two
    slow, fast = Reader(a), Reader(b)
    for _ in range(40 * 20):
        slow.read(RATE // 200)  # a tenth of it, in pieces that a mail has
        fast.read(8_192)
        pump(two, 0.05)
    before = slow.octets, fast.octets
    for _ in range(20 * 20):
        slow.read(RATE // 200)
        fast.read(8_192)
        pump(two, 0.05)
    assert (slow.octets - before[0]) / 20 > 0.09 * RATE
    assert (fast.octets - before[1]) / 20 > 0.6 * RATE


@pytest.mark.parametrize("octets", [RATE])
def test_a_node_that_is_dead_reads_no_more(two: Two) -> None:
    a, _ = two
    reader = Reader(a)
    read_for(two, 2, reader)
    a.nodes.connection, kept = None, a.nodes.connection
    a.clock.pump([1.0] * int(leasing.LONG + 2 * leasing.EVERY))
    reader.read(8_192)
    assert read_for((a, a), 5, reader) == [0.0]
    a.nodes.connection = kept
    read_for(two, leasing.EVERY, reader)
    assert read_for(two, 10, reader)[0] > 0.9 * RATE


# How long it takes, by a clock that is the test's

_CLOCK = """
    CREATE SCHEMA simulated;
    CREATE TABLE simulated.clock (now timestamptz NOT NULL);
    INSERT INTO simulated.clock VALUES (pg_catalog.clock_timestamp());
    CREATE FUNCTION simulated.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT now FROM simulated.clock';
"""


@pytest.fixture(scope="module")
def clocked(postgres: PostgresServer) -> Iterator[AccountsDatabase]:
    """A database whose server's clock goes when it is put forward, and not by itself."""
    name = postgres.make_database()
    engine = postgres_engine(address(postgres.url(name)), connections=6)
    with engine.begin() as connection:
        connection.exec_driver_sql(_CLOCK)
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET search_path = simulated, pg_catalog, public")
    engine.dispose()
    made = AccountsDatabase(AccountsServer(engine))
    yield made
    made.close()


def forward(database: AccountsDatabase, seconds: int) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE simulated.clock SET now = now + make_interval(secs => :s)"), {"s": seconds})


@pytest.mark.parametrize("phase", range(int(leasing.EVERY)))
def test_a_node_that_says_nothing_is_replaced_within_thirty_seconds(
    clocked: AccountsDatabase, limits: Limits, phase: int
) -> None:
    """With the times that are configured, wherever in its rounds the other one is: and not before its time."""
    making = make_two(clocked, limits)
    a, b = next(making)
    forward(clocked, phase)
    b.clock.advance(phase)
    account = a.accounts.add("user", "123.com")
    with clocked.write() as connection:
        connection.execute(
            text("UPDATE accounts SET state = 'moving', due = NULL, sealed_password = 'x' WHERE id = :i"),
            {"i": account.id},
        )
    before = taken(a)
    lost: list[str] = []
    before.lost = lambda: lost.append("lost")
    a.clock.advance(leasing.EVERY)  # it says once more that it is there, and is stopped
    waits, _hold = waiting(b, a.accounts.get(account.id))
    seconds = 0
    while not waits.called:
        forward(clocked, 1)
        b.clock.advance(1)
        seconds += 1
        assert seconds <= 30
    assert seconds >= leasing.LONG
    after = taken(b)
    assert after.number > before.number
    while b.accounts.get(account.id).due is None:  # where nobody waits, too: whose turn it is goes on with it
        forward(clocked, 1)
        b.clock.advance(1)
        seconds += 1
        assert seconds <= 30
    a.clock.advance(60 - seconds)  # it was stopped for a minute
    assert lost == ["lost"]
    fence = before.fence
    assert fence is not None
    with clocked.write() as connection, pytest.raises(LeaseLost):
        fence(connection)
    making.close()
    for node in (a, b):
        node.close()
