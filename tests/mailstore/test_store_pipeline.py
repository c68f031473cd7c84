"""What is said to PostgreSQL in a pipeline: in order, with few ways there, and undone where it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, delete, insert, make_url, select, update

from mailstore import schema
from mailstore.at_hand import AtHand
from mailstore.errors import StorageFailed
from mailstore.index.folders import INBOX_ID
from mailstore.index.rows import SEEN, StoreMode
from mailstore.mailhome import MailHome
from mailstore.pipeline import Numbered, Pipeline, kept_beside, pipeline_of
from mailstore.postgres import postgres_engine
from mailstore.postgres_mailbox import PostgresMailbox
from mailstore.prepared import Prepared
from tests.mailstore.store_rig import ACCOUNT, append, bodies, check_whole, open_home, rows
from tests.postgres.kept import Kept
from tests.postgres.server import until

_f = schema.metadata
_ADD = Prepared(insert(_f))
_VALUE = Prepared(select(_f.c.value).where(_f.c.account_id == bindparam("a"), _f.c.entry == bindparam("e")))
_DROP = Prepared(delete(_f).where(_f.c.account_id == bindparam("a")))


def entry(name: str, value: bytes = b"x") -> dict[str, Any]:
    return {"account_id": ACCOUNT, "folder_id": 0, "entry": name, "value": value}


@pytest.fixture
def home(in_postgres: Kept, tmp_path: Path) -> Iterator[MailHome]:
    opened = open_home(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """As many as there were ways to the server and back."""
    made: list[None] = []
    answered = Pipeline._answered

    def counted(self: Pipeline) -> Any:
        made.append(None)
        return answered(self)

    monkeypatch.setattr(Pipeline, "_answered", counted)
    return made


def test_parameters_are_numbered() -> None:
    found = Numbered.of("SELECT %(b)s::BIGINT, %(a)s::TEXT LIKE '50%%', %(b)s::BIGINT")
    assert found == Numbered(b"SELECT $1::BIGINT, $2::TEXT LIKE '50%', $1::BIGINT", ("b", "a"))


def test_few_ways(home: MailHome, ways: list[None]) -> None:
    """BEGIN goes with the first statement, COMMIT with the last; a reader does not wait for its end."""
    append(home, b"one")
    home.store_flags(INBOX_ID, [1], StoreMode.ADD, [SEEN])
    ways.clear()
    assert [row.uid for row in home.rows(INBOX_ID, [1])] == [1]
    assert len(ways) == 1
    ways.clear()
    home.store_flags(INBOX_ID, [1], StoreMode.REMOVE, [SEEN])
    assert len(ways) == 2  # folder and row, and the change
    assert [row.flags for row in rows(home)] == [frozenset()]


def test_what_waits_is_there_for_whoever_looks(home: MailHome) -> None:
    """… by way of a prepared statement, or of SQLAlchemy's own."""
    with home._database.write() as connection:
        _ADD.run(connection, entry("a"))
        assert _VALUE.first(connection, {"a": ACCOUNT, "e": "a"}) == (b"x",)
        _ADD.run(connection, entry("b"))
        assert connection.scalars(select(_f.c.entry).order_by(_f.c.entry)).all() == ["a", "b"]
        _ADD.many(connection, [entry("c"), entry("d")])
        connection.execute(update(_f).values(value=b"y"))
        assert _VALUE.all(connection, {"a": ACCOUNT, "e": "d"}) == [(b"y",)]
        _ADD.run(connection, entry("e"))
    with home._database.read() as connection:
        assert connection.scalars(select(_f.c.entry).order_by(_f.c.entry)).all() == list("abcde")


@pytest.mark.parametrize("how", ["asked", "committed", "by SQLAlchemy"])
def test_what_is_refused_undoes_the_transaction(home: MailHome, how: str) -> None:
    append(home, b"one")
    with home._database.write() as connection:
        _ADD.run(connection, entry("a"))
    with pytest.raises(StorageFailed, match="SQLSTATE 23505"), home._database.write() as connection:
        _ADD.run(connection, entry("b"))
        _ADD.run(connection, entry("a"))  # is there already
        _ADD.run(connection, entry("c"))
        if how == "asked":
            _VALUE.first(connection, {"a": ACCOUNT, "e": "a"})
        elif how == "by SQLAlchemy":
            connection.execute(select(_f.c.entry))
    with home._database.read() as connection:
        assert connection.scalars(select(_f.c.entry)).all() == ["a"]
    append(home, b"two")  # what was refused has spoilt nothing
    assert list(bodies(home).values()) == [b"one", b"two"]
    check_whole(home)


def test_one_that_is_refused_before_it_is_prepared_is_prepared_again(home: MailHome) -> None:
    statement = Prepared(delete(_f).where(_f.c.entry == bindparam("e")))
    for _ in range(2):
        with pytest.raises(StorageFailed), home._database.read() as connection:  # which may not
            statement.run(connection, {"e": "a"})
            _VALUE.first(connection, {"a": ACCOUNT, "e": "a"})
    with home._database.write() as connection:
        statement.run(connection, {"e": "a"})


def test_what_is_prepared_stays_so_when_the_driver_undoes_a_transaction(home: MailHome, in_postgres: Kept) -> None:
    """Ours, and its own: it would have the server forget all that is prepared on a connection."""
    with in_postgres.engine.connect() as connection:
        pipeline = kept_beside(connection)
        for _ in range(2):
            for _ in range(5):
                connection.execute(select(_f.c.value).where(_f.c.account_id == ACCOUNT)).all()
            connection.rollback()
            assert pipeline.ask(b"SELECT 1").ntuples == 1
            pipeline.settle()


def test_a_nul_is_refused_and_nothing_is_cut_off(home: MailHome) -> None:
    for given in ([entry("a\0b")], [entry("a\0b"), entry("c")]):
        with pytest.raises(StorageFailed), home._database.write() as connection:
            _ADD.many(connection, given)
    with home._database.read() as connection:
        assert connection.scalars(select(_f.c.entry)).all() == []


def test_more_than_fits_both_ways(home: MailHome) -> None:
    """The server does not take the rest of what is sent before it has got rid of its answers."""
    large = bytes(range(256)) * 16 * 1024
    with home._database.write() as connection:
        _ADD.run(connection, entry("a", large))
        pipeline = pipeline_of(connection)
        assert pipeline is not None
        for _ in range(3):
            pipeline.tell(b"SELECT value FROM metadata")
        _ADD.run(connection, entry("b", large[::-1]))
        for _ in range(3):
            pipeline.tell(b"SELECT value FROM metadata")
        assert _VALUE.first(connection, {"a": ACCOUNT, "e": "a"}) == (large,)
        assert _VALUE.first(connection, {"a": ACCOUNT, "e": "b"}) == (large[::-1],)
        _DROP.run(connection, {"a": ACCOUNT})


def test_nobody_is_left_in_a_transaction(home: MailHome, in_postgres: Kept) -> None:
    append(home, b"one")
    home.status("INBOX")
    with pytest.raises(ZeroDivisionError), home._database.write():
        raise ZeroDivisionError
    states = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{in_postgres.name}' AND state <> 'idle'"
    until(lambda: not in_postgres.server.admin(states))


def test_others_have_connections_too(in_postgres: Kept) -> None:
    engine = postgres_engine(make_url(in_postgres.server.url(in_postgres.name)), connections=3)
    try:
        at_hand = AtHand.of(engine)
        assert AtHand.of(engine) is at_hand
        boxes = [PostgresMailbox(at_hand, number) for number in range(3)]
        with boxes[0].read() as one, boxes[1].read() as two, boxes[2].read() as three:
            assert len({id(each) for each in (one, two, three)}) == 3
        assert engine.pool.checkedout() == 1  # type: ignore[attr-defined]
        with boxes[0].read() as again, engine.connect(), engine.connect():
            assert again is three or again is two or again is one
    finally:
        engine.dispose()
    there = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'mailferry' AND datname = "
    mine = f"{there}'{in_postgres.name}'"
    in_postgres.engine.dispose()
    until(lambda: not in_postgres.server.admin(mine))
