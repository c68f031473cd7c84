"""Who has an account: leases by the database server's clock, and what is written under one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, insert, select, text

from mailstore import agreement, leases, membership, schema
from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.errors import LeaseLost
from mailstore.keys import KeyFile
from mailstore.leases import Elsewhere, Lease
from mailstore.rotation import RotationRefused, add_key, see_that_nobody_else_seals
from mailstore.secrets import KEY_OCTETS
from tests.postgres.server import until

LONG = 60_000


@pytest.fixture
def engine(made: Engine) -> Engine:
    with made.begin() as connection:
        for table in ("nodes", "leases", "places", "accounts", "installation"):
            connection.execute(text(f"DELETE FROM {table}"))
    return made


def node(engine: Engine, name: str = "a", long: int = LONG) -> int:
    with engine.begin() as connection:
        return membership.join(connection, name, long)


def take(engine: Engine, number: int, local: str = "user") -> Lease | Elsewhere:
    with engine.begin() as connection:
        return leases.take(connection, "123.com", local, number)


def taken(engine: Engine, number: int, local: str = "user") -> Lease:
    lease = take(engine, number, local)
    assert isinstance(lease, Lease)
    return lease


def die(engine: Engine, number: int) -> None:
    """As if it had said nothing for long enough."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE nodes SET until = 0 WHERE id = :id"), {"id": number})


def account(engine: Engine, local: str = "user", **values: object) -> int:
    about = {"domain": "123.com", "local": local, "state": "moving", "created": 1, "sealed_password": b"x", **values}
    with engine.begin() as connection:
        connection.execute(insert(schema.accounts).values(**about))
        return int(connection.scalars(select(schema.accounts.c.id).where(schema.accounts.c.local == local)).one())


def due(engine: Engine, number: int) -> int | None:
    with engine.begin() as connection:
        return connection.scalars(select(schema.accounts.c.due).where(schema.accounts.c.id == number)).one()


def test_one_node_has_an_account_until_it_gives_it_back(engine: Engine) -> None:
    a, b = node(engine, "a"), node(engine, "b")
    first = taken(engine, a)
    assert take(engine, b) == Elsewhere("a")
    assert isinstance(take(engine, b, "other"), Lease)
    with engine.begin() as connection:
        assert leases.holder(connection, "123.com", "user") == "a"
        leases.give_back(connection, first)
        assert leases.holder(connection, "123.com", "user") is None
    assert taken(engine, b).fence > first.fence


def test_what_a_dead_node_had_goes_to_who_asks(engine: Engine) -> None:
    a, b = node(engine, "a"), node(engine, "b")
    first = taken(engine, a)
    die(engine, a)
    with engine.begin() as connection:
        assert leases.holder(connection, "123.com", "user") is None
    second = taken(engine, b)
    assert second.fence > first.fence
    with engine.begin() as connection:
        second.holds(connection)
    with engine.begin() as connection, pytest.raises(LeaseLost):
        first.holds(connection)
    with engine.begin() as connection:
        assert not membership.renew(connection, a, LONG)  # for good: it cannot come back to what it had
        assert [each.name for each in membership.every(connection)] == ["b"]
    with pytest.raises(LeaseLost):
        take(engine, a, "third")


def test_a_node_that_is_late_and_not_missed_yet_is_dead_all_the_same(engine: Engine) -> None:
    """Others may be about to take what it had."""
    a = node(engine, "a")
    die(engine, a)
    with engine.begin() as connection:
        assert not membership.renew(connection, a, LONG)


def test_the_accounts_of_the_dead_are_due(engine: Engine) -> None:
    a, b = node(engine, "a"), node(engine, "b")
    moving = account(engine)
    resting = account(engine, "rests", state="moved", due=None)
    waiting = account(engine, "waits", state="waiting")
    for local in ("user", "waits"):
        taken(engine, a, local)
    die(engine, a)
    with engine.begin() as connection:
        assert membership.bury(connection) == ["a"]
        assert membership.bury(connection) == []
        membership.sweep(connection)
        assert connection.scalar(text("SELECT count(*) FROM leases")) == 0
    assert due(engine, moving) is not None
    assert due(engine, resting) is due(engine, waiting) is None
    again = taken(engine, b, "rests")
    with engine.begin() as connection:
        membership.leave(connection, b)
        membership.sweep(connection)
    assert due(engine, resting) is not None  # b was looking for what is new there
    with engine.begin() as connection, pytest.raises(LeaseLost):
        again.still(connection)


def test_what_is_being_written_under_a_lease_is_waited_for(engine: Engine) -> None:
    """A node is dead to the others in the midst of a transaction: whoever takes over sees all of it, or nothing."""
    a, b = node(engine, "a"), node(engine, "b")
    lease = taken(engine, a)
    got: list[Lease | Elsewhere] = []
    with engine.connect() as connection:
        writing = connection.begin()
        lease.holds(connection)
        die(engine, a)
        other = threading.Thread(target=lambda: got.append(take(engine, b)))
        other.start()
        until(lambda: _waiting(engine))
        assert not got
        writing.commit()
    other.join(60)
    assert isinstance(got[0], Lease)
    assert got[0].fence > lease.fence


def _waiting(engine: Engine) -> bool:
    with engine.begin() as connection:
        return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


def test_a_heartbeat_waits_for_nobody_who_writes_under_a_lease(engine: Engine) -> None:
    a = node(engine, "a")
    lease = taken(engine, a)
    with engine.begin() as writing, engine.begin() as connection:
        lease.holds(writing)
        connection.execute(text("SET LOCAL lock_timeout = '1ms'"))
        assert membership.renew(connection, a, LONG)
        assert membership.bury(connection) == []
        membership.sweep(connection)


def test_both_at_the_same_instant(engine: Engine) -> None:
    """Eight at once: one has it, and each that comes later has a higher number."""
    numbers = [node(engine, f"n{number}") for number in range(4)]
    for _ in range(5):
        got: list[Lease | Elsewhere] = []
        barrier = threading.Barrier(len(numbers))

        def one(number: int, got: list[Lease | Elsewhere] = got, barrier: threading.Barrier = barrier) -> None:
            barrier.wait(60)
            got.append(take(engine, number))

        threads = [threading.Thread(target=one, args=(number,)) for number in numbers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        (lease,) = [each for each in got if isinstance(each, Lease)]
        assert len(got) == len(numbers)
        with engine.begin() as connection:
            leases.give_back(connection, lease)


def test_which_of_its_leases_a_node_still_has(engine: Engine) -> None:
    a = node(engine, "a")
    first, second = taken(engine, a), taken(engine, a, "other")
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM leases WHERE fence = :fence"), {"fence": second.fence})
        assert leases.kept(connection, a, [first.fence, second.fence]) == {first.fence}
        assert leases.kept(connection, a, []) == set()
        very_many = [*range(second.fence, second.fence + 70_000), first.fence]  # more than a statement has parameters
        assert leases.kept(connection, a, very_many) == {first.fence}


def _agree(connection: Connection, keys: bytes) -> None:
    agreement.agree(connection, keys)


def test_nodes_agree_on_the_key_that_seals(engine: Engine) -> None:
    ours, theirs = b"o" * KEY_OCTETS, b"t" * KEY_OCTETS
    with engine.begin() as connection:
        _agree(connection, ours)
        _agree(connection, ours + theirs)
        with pytest.raises(agreement.OtherKey, match="replace its key file by a copy"):
            _agree(connection, theirs)
        with pytest.raises(agreement.OtherKey, match="copy the file"):
            _agree(connection, theirs + ours)
        agreement.change(connection, theirs + ours)
        _agree(connection, theirs)
        kept = connection.scalar(text("SELECT value FROM installation"))
    assert ours.hex() not in str(kept)
    assert theirs.hex() not in str(kept)


def test_a_key_is_changed_where_nobody_else_seals(made: Engine, engine: Engine, tmp_path: Path) -> None:
    """Other nodes could not open what is sealed with the next one."""
    database = AccountsDatabase(AccountsServer(made, check=False))
    file = KeyFile(tmp_path / "sealing.key")
    keys = file.load()
    with engine.begin() as connection:
        agreement.agree(connection, keys)
    own = node(engine, membership.here() + "7)")
    see_that_nobody_else_seals(database, membership.here())
    other = node(engine, "elsewhere (8)")
    with pytest.raises(RotationRefused, match=r"elsewhere \(8\)\): stop mailferry there"):
        see_that_nobody_else_seals(database, membership.here())
    die(engine, other)
    see_that_nobody_else_seals(database, membership.here())
    assert add_key(database, file)
    with engine.begin() as connection:
        agreement.agree(connection, file.load())
        with pytest.raises(agreement.OtherKey):
            agreement.agree(connection, keys)
        membership.leave(connection, own)
