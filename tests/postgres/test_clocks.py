"""Nodes whose clocks differ by an hour, and what they write into one database: times by the server's clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from mailstore import samples as sampling
from mailstore.accounts import Accounts, State
from mailstore.accounts_server import ASKED, AccountsServer
from mailstore.administrators import Administrators
from mailstore.custody import Custody
from mailstore.database import AccountsDatabase
from mailstore.finishing import Finish, Finishing
from mailstore.notices import Notices
from mailstore.postgres import address, postgres_engine
from mailstore.proofs import Proofs
from mailstore.queue import Queue
from mailstore.roster import Entry, Roster
from mailstore.samples import Samples
from mailstore.web_sessions import WebSessions
from proxy.admin.overview import Watching
from tests.postgres.server import PostgresServer

HOUR = 3600
NEAR = 900  # seconds: however slow the machine is


@pytest.fixture(scope="module")
def engine(postgres: PostgresServer) -> Iterator[Engine]:
    made = postgres_engine(address(postgres.url(postgres.make_database())), connections=3)
    AccountsServer(made)
    yield made
    made.dispose()


class OwnClock:
    """That of this process: wrong by so many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.real, self.wrong_by = time.time, 0.0
        monkeypatch.setattr(time, "time", lambda: self.real() + self.wrong_by)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> OwnClock:
    return OwnClock(monkeypatch)


@pytest.fixture
def database(engine: Engine, own: OwnClock) -> AccountsDatabase:
    with engine.begin() as connection:
        for table in ("accounts", "samples", "notices", "web_sessions", "administrators", "paused_domains", "proofs"):
            connection.execute(text(f"DELETE FROM {table}"))
    return AccountsDatabase(AccountsServer(engine, check=False))


def near(own: OwnClock, seconds: float | None) -> bool:
    return seconds is not None and abs(seconds - own.real()) < NEAR


@pytest.mark.parametrize("wrong_by", [HOUR, -HOUR])
def test_whatever_is_written_is_so_by_the_servers_clock(
    database: AccountsDatabase, own: OwnClock, wrong_by: float
) -> None:
    own.wrong_by = wrong_by
    accounts, queue, notices = Accounts(database), Queue(database), Notices(database)
    account = accounts.add("li", "123.com")
    queue.ask([account.id])
    queue.pause_domain("456.com", paused=True)
    number = notices.begin(account.id, "notice", "li@123.com", 0)
    assert number is not None
    notices.sent(number)
    WebSessions(database).begin("console", "root")
    Proofs(database).write("123.com", "li@123.com", "{}", "{}")
    Administrators(database).add("root", "hash")
    Roster(database, lambda local, _domain: local).enrol({("wu", "123.com"): Entry("wu", "123.com")}, ["full_name"])
    adopted = accounts.add("adopted", "123.com")
    assert Custody(database).adopted(adopted, None, 1, 1)
    final = accounts.admit("final", "123.com", b"sealed")
    accounts.moved(final.id)
    assert Finishing(database).finish([Finish(accounts.get(final.id), "", "hash")]) == []
    Samples(database).take()

    def column(name: str, table: str, where: str = "true") -> list[int | None]:
        with database.read() as connection:
            return list(connection.execute(text(f"SELECT {name} FROM {table} WHERE {where}")).scalars())

    times = [
        *column("created", "accounts"),
        *column("asked", "accounts", "local = 'li'"),
        *column("due", "accounts", "local = 'li'"),
        *column("enrolled", "accounts", "local = 'wu'"),
        *column("finalized", "accounts", "local IN ('adopted', 'final')"),
        *column("refreshed", "accounts", "local = 'final'"),
        *column("since", "paused_domains"),
        *column("begun", "notices"),
        *column("sent", "notices"),
        *column("created", "web_sessions"),
        *column("used", "web_sessions"),
        *column("proven", "proofs"),
        *column("created", "administrators"),
        *column("taken", "samples"),
    ]
    assert len(times) > 14
    assert all(near(own, each) for each in times), times


def another(database: AccountsDatabase) -> AccountsDatabase:
    """As another process has it."""
    assert database.engine is not None
    return AccountsDatabase(AccountsServer(database.engine, check=False))


def test_what_is_compared_with_them_is_the_servers_time(database: AccountsDatabase, own: OwnClock) -> None:
    """A session is not over, and nobody is due, or waits for an hour, for it."""
    token, session = WebSessions(database).begin("console", "root")
    account = Accounts(database).add("li", "123.com")
    Accounts(database)._change(account.id, state=State.MOVED, sealed_password=b"sealed")
    Queue(database).ask([account.id])
    own.wrong_by = 2 * HOUR
    there = another(database)
    assert WebSessions(there).find("console", token) == session
    assert not WebSessions(there).stale(session)
    backlog = Queue(there).backlog(["123.com"])["123.com"]
    assert backlog.due == 1
    assert backlog.seconds < NEAR
    own.wrong_by = -2 * HOUR
    there = another(database)
    assert [each.local for each in Queue(there).take(["123.com"], 5)] == ["li"]
    assert all(near(own, view.samples[-1].taken) for view in Watching(there).domains(["123.com"]))


def test_the_servers_time_is_asked_now_and_then(
    database: AccountsDatabase, own: OwnClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    engine = database.engine
    assert engine is not None
    ticking = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: ticking[0])
    with Counted(engine, asked):
        own.wrong_by = HOUR
        for _ in range(5):
            assert near(own, database.time())
        assert len(asked) == 1
        own.wrong_by = 0.0  # somebody has set it right
        assert near(own, database.time())
        ticking[0] += ASKED + 1
        assert near(own, database.time())
        assert len(asked) == 2
        database.go_by(lambda: 7.0)  # of somebody who asks anyway
        assert database.time() == 7.0
        assert len(asked) == 2


class Counted:
    """How often the server is asked for its time."""

    def __init__(self, engine: Engine, asked: list[float]) -> None:
        self._engine = engine
        self._asked = asked

    def _seen(self, _connection: Connection, _cursor: Any, statement: str, *_about: Any) -> None:
        if "clock_timestamp" in statement:
            self._asked.append(time.monotonic())

    def __enter__(self) -> None:
        event.listen(self._engine, "before_cursor_execute", self._seen)

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._seen)


# Samples of two nodes

Taking = Callable[[], int]


@pytest.fixture
def nodes(postgres: PostgresServer, database: AccountsDatabase, own: OwnClock) -> Iterator[tuple[Taking, Taking]]:
    """Each takes a sample; the clock of the second is an hour ahead."""
    engine = database.engine
    assert engine is not None
    with closing(AccountsDatabase(AccountsServer(postgres_engine(engine.url, connections=2), check=False))) as other:
        here, there = Samples(database), Samples(other)

        def wrong() -> int:
            own.wrong_by = HOUR
            try:
                return there.take()
            finally:
                own.wrong_by = 0.0

        yield here.take, wrong


def later(database: AccountsDatabase, seconds: int) -> None:
    """As if what was taken had been so long ago."""
    with database.write() as connection:
        connection.execute(text("UPDATE samples SET taken = taken - :s"), {"s": seconds})


def test_two_nodes_take_one_sample_a_minute(
    database: AccountsDatabase, nodes: tuple[Taking, Taking], own: OwnClock
) -> None:
    accounts = Accounts(database)
    for round_ in range(6):
        accounts.add(f"user{round_}", "123.com")
        first, second = nodes if round_ % 2 == 0 else nodes[::-1]
        assert (first(), second()) == (1, 0)
        later(database, sampling.MINUTE)
    taken = [sample.taken for sample in Samples(database).of("123.com")]
    assert len(taken) == 6  # and none was taken for one of a clock that is wrong
    assert all(near(own, each) for each in taken)
    assert all(after - before >= sampling.MINUTE for before, after in pairwise(taken))
