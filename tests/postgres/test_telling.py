"""What processes tell each other over the connections that they keep, and what goes with those."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from mailstore import telling
from mailstore.errors import StorageFailed
from mailstore.postgres import address, postgres_engine
from mailstore.telling import LONGEST, Line, News, NotConnected, in_one, own_connection, packed, unpacked
from tests.postgres.server import PostgresServer, until

Open = Callable[..., Line]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that may be restarted."""
    made = PostgresServer()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def engine(server: PostgresServer) -> Iterator[Engine]:
    made = postgres_engine(address(server.url(server.make_database())), connections=2)
    yield made
    made.dispose()


@pytest.fixture
def opened(engine: Engine) -> Iterator[Open]:
    """Makes lines that are connected."""
    with ExitStack() as lines:

        def make(heard: list[News] | None = None, **about: object) -> Line:
            into = [] if heard is None else heard
            began: list[bool] = []
            line = Line(own_connection(engine, "test"), into.extend, began=lambda: began.append(True), **about)  # type: ignore[arg-type]
            line.start()
            lines.callback(line.close)
            until(lambda: began)
            return line

        yield make


def asked(line: Line, ask: Callable[[Callable[[object], None]], None]) -> object:
    got: list[object] = []
    ask(got.append)
    until(lambda: got)
    return got[0]


def locked(line: Line, account_id: int) -> object:
    return asked(line, lambda done: line.lock_maildrop(account_id, done))


words = st.text(st.characters(codec="utf-8", exclude_characters="\n\0"), max_size=40)
news = st.builds(News, st.sampled_from(("changed", "host")), st.integers(0, 2**62), words)


@given(st.lists(news, max_size=400))
def test_what_is_packed_is_unpacked(said: list[News]) -> None:
    payloads = packed("here", said)
    assert all(len(payload.encode()) < LONGEST + 200 for payload in payloads)
    heard = [unpacked(payload) for payload in payloads]
    assert all(origin == "here" for origin, _ in heard)
    assert [each for _, some in heard for each in some] == list(dict.fromkeys(said))


def test_what_another_version_says_is_passed_over() -> None:
    assert unpacked("there\nchanged 7 1\nodd\nodder x y\n\nhost 0 a b") == (
        "there",
        [News("changed", 7, "1"), News("host", 0, "a b")],
    )


def test_news_goes_to_all_others_and_not_back(opened: Open) -> None:
    heard: dict[str, list[News]] = {"a": [], "b": [], "c": []}
    a = opened(heard["a"])
    opened(heard["b"])
    opened(heard["c"])
    said = [News("changed", number, "1") for number in range(3_000)]
    a.tell(*said)
    until(lambda: len(heard["b"]) == len(heard["c"]) == len(said))
    assert heard["b"] == heard["c"] == said
    assert heard["a"] == []


def test_it_is_there_in_a_moment(opened: Open) -> None:
    heard: list[News] = []
    opened(heard)
    line = opened()
    took = []
    for number in range(40):
        began = time.perf_counter()
        line.tell(News("changed", number))
        until(lambda number=number: len(heard) > number)
        took.append(time.perf_counter() - began)
    assert sorted(took)[20] < 0.05  # of which the test's own looks are a part


def test_what_follows_at_once_waits_for_more(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """… and keeps nothing else waiting. It is said in the end at the latest."""
    monkeypatch.setattr(telling, "TOGETHER", 3600.0)
    heard: list[list[News]] = []
    other = Line(own_connection(engine, "test"), lambda news: heard.append(list(news)))
    other.start()
    assert asked(other, lambda done: other.run(lambda _connection: "there", done)) == "there"
    line = Line(own_connection(engine, "test"), lambda _news: None)
    line.start()
    try:
        line.tell(News("changed", 1))
        until(lambda: heard)
        line.tell(News("changed", 2))
        line.tell(News("changed", 3))
        assert asked(line, lambda done: line.run(lambda _connection: "done", done)) == "done"
        assert heard == [[News("changed", 1)]]
    finally:
        line.close()
    until(lambda: len(heard) == 2)
    assert heard[1] == [News("changed", 2), News("changed", 3)]
    other.close()


def test_a_lost_connection_is_made_anew_and_said(opened: Open, server: PostgresServer) -> None:
    heard: list[News] = []
    lost: list[str] = []
    here = opened(heard, report=lost.append)
    there = opened()
    assert locked(here, 7) is True
    server.restart()
    until(lambda: locked(there, 8) is True)
    until(lambda: asked(here, lambda done: here.run(lambda connection: "there", done)) == "there")
    assert lost
    assert all("127.0.0.1" not in why for why in lost)
    there.tell(News("changed", 1))
    until(lambda: heard)
    assert locked(there, 7) is False  # it was taken again before anything else


def test_a_lock_that_somebody_else_has_by_then_is_lost(opened: Open, engine: Engine) -> None:
    gone: list[int] = []
    here, there = opened(lost=gone.append), opened()
    assert locked(here, 7) is True
    assert locked(there, 7) is False
    here._maildrops.add(8)  # as if it had been this process's before the connection broke
    assert locked(there, 8) is True
    own = asked(here, lambda done: here.run(lambda c: c.exec_driver_sql("SELECT pg_backend_pid()").scalar(), done))
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
    until(lambda: gone)
    assert gone == [8]
    here.unlock_maildrop(7)
    until(lambda: locked(there, 7) is True)


def test_what_is_asked_without_a_connection_fails_at_once(engine: Engine, server: PostgresServer) -> None:
    def refuses() -> object:
        raise OSError(111, "no")

    line = Line(refuses, lambda _news: None)  # type: ignore[arg-type]
    line.start()
    try:
        got = asked(line, lambda done: line.run(lambda connection: None, done))
        assert isinstance(got, NotConnected)
        assert isinstance(locked(line, 7), StorageFailed)
    finally:
        line.close()
    assert isinstance(asked(line, lambda done: line.run(lambda connection: None, done)), NotConnected)


def test_a_job_that_fails_leaves_the_connection_in_order(opened: Open) -> None:
    line = opened()
    assert isinstance(
        asked(line, lambda done: line.run(lambda c: c.exec_driver_sql("SELECT nothing FROM nowhere"), done)),
        StorageFailed,
    )
    half = lambda c: (c.exec_driver_sql("CREATE TABLE half (x int)"), c.exec_driver_sql("SELECT 1/0"))  # noqa: E731
    assert isinstance(asked(line, lambda done: line.run(lambda c: in_one(c, half), done)), StorageFailed)
    there = "SELECT to_regclass('half') IS NULL"
    assert asked(line, lambda done: line.run(lambda c: c.exec_driver_sql(there).scalar(), done)) is True


def test_the_time_is_the_servers(opened: Open) -> None:
    line = opened(clock=lambda: time.monotonic() + 3_600)
    assert abs(line.time() - time.time()) < 60
    line.set(7.0)
    assert 7 <= line.time() < 67
