"""What a node that has lost an account may still do to it: nothing, and what it does to files all the same is known for
what it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from mailstore import leases, membership
from mailstore.accounts import Accounts, State
from mailstore.accounts_server import AccountsServer
from mailstore.database import AccountsDatabase
from mailstore.entries import Entry, Listed
from mailstore.errors import LeaseLost
from mailstore.index.folders import INBOX_ID
from mailstore.landing import Landing
from mailstore.leases import Lease
from mailstore.mailhome import MailHome
from mailstore.opening import mailboxes
from mailstore.postgres import address, postgres_engine
from tests.postgres.server import PostgresServer

MAIL = b"Date: Thu, 1 Jan 2009 00:00:00 +0000\r\nSubject: one\r\n\r\nhello\r\n"
NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[AccountsDatabase]:
    made = AccountsDatabase(
        AccountsServer(postgres_engine(address(postgres.url(postgres.make_database())), connections=5))
    )
    yield made
    made.close()


@pytest.fixture
def engine(database: AccountsDatabase) -> Engine:
    assert database.engine is not None
    return database.engine


class Node:
    """One that opens the account's mailbox, and moves it under a lease."""

    def __init__(self, engine: Engine, account_id: int, path: Path, local: str) -> None:
        self.engine = engine
        self.local = local
        with engine.begin() as connection:
            self.number = membership.join(connection, "node", 60_000)
            taken = leases.take(connection, "123.com", local, self.number)
        assert isinstance(taken, Lease)
        self.lease = taken
        self.home = MailHome(mailboxes(engine), account_id, path, clock=lambda: NOW)

    def die(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE nodes SET until = 0 WHERE id = :id"), {"id": self.number})

    def look(self) -> None:
        with self.engine.begin() as connection:
            self.lease.still(connection)

    def landing(self, *, looks: bool = True) -> Landing:
        look = self.look if looks else lambda: None
        return Landing(
            self.home.maildir, self.home.token, seen="none", clock=lambda: NOW, fence=self.lease.fence, look=look
        )

    def fenced(self, operation):  # type: ignore[no-untyped-def]
        return self.home.fenced(self.lease.holds, operation)


class Both:
    """The account's first node, and the one that takes over."""

    def __init__(self, engine: Engine, database: AccountsDatabase, path: Path, local: str) -> None:
        self.accounts = Accounts(database)
        self.account = self.accounts.add(local, "123.com").id
        self.path = path / "Maildir"
        self.engine, self.local = engine, local
        self.a = Node(engine, self.account, self.path, local)
        self.entries: list[Entry] = list(
            self.a.fenced(lambda home: home.ledger.record_listing([Listed(1, "one", len(MAIL))], (), hold_uids=True))
        )

    def take_over(self) -> Node:
        self.a.die()
        self.b = Node(self.engine, self.account, self.path, self.local)
        return self.b

    def files(self, sub: str = "cur") -> list[str]:
        return sorted(path.name for path in (self.path / sub).iterdir())

    def shown(self) -> int:
        self.b.home.reconcile(INBOX_ID)
        return len(self.b.home.maildrop())


@pytest.fixture
def both(engine: Engine, database: AccountsDatabase, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Both]:
    made = Both(engine, database, tmp_path, request.node.name)
    yield made
    made.a.home.close()
    made.b.home.close()


def carry(node: Node, entries: list[Entry]) -> None:
    landing = node.landing()
    try:
        landing.clear_leftovers(entries)
        written = landing.write([(entry, MAIL) for entry in entries])
        landing.settle(written)
    finally:
        landing.close()
    node.fenced(lambda home: home.ledger.enter([message.landed for message in written]))


def test_nothing_is_entered_under_a_lost_lease(both: Both) -> None:
    landing = both.a.landing()
    written = landing.write([(both.entries[0], MAIL)])
    landing.settle(written)
    both.take_over()
    with pytest.raises(LeaseLost):
        both.a.fenced(lambda home: home.ledger.enter([message.landed for message in written]))
    with pytest.raises(LeaseLost):
        both.a.fenced(lambda home: home.carried_over())
    assert both.shown() == 0  # what lies there belongs to a row that is to be fetched
    carry(both.b, both.entries)
    landing.close()
    assert both.shown() == 1
    assert len(both.files()) == 1


def test_no_names_are_given_under_a_lost_lease(both: Both) -> None:
    landing = both.a.landing()
    written = landing.write([(both.entries[0], MAIL)])
    both.take_over()
    with pytest.raises(LeaseLost):
        landing.settle(written)
    assert both.files() == []
    carry(both.b, both.entries)
    with pytest.raises(LeaseLost):  # what it had written is gone
        landing.settle(written)
    landing.close()


def test_what_is_named_late_is_recognised_and_goes(both: Both) -> None:
    """It is stopped between the look at its lease and the name, and goes on when the other has entered the message."""
    landing = both.a.landing(looks=False)
    carry(both.take_over(), both.entries)
    landing.settle(landing.write([(both.entries[0], MAIL)]))
    landing.close()
    assert len(both.files()) == 2
    assert both.shown() == 1
    assert len(both.files()) == 1
    kept = both.b.home.maildrop()[0].uid
    with both.b.home.open(INBOX_ID, kept) as content:
        assert bytes(content.whole()) == MAIL


def test_another_message_under_such_a_name_is_no_late_one(both: Both) -> None:
    """Whoever put it there: nothing is lost."""
    landing = both.a.landing(looks=False)
    carry(both.take_over(), both.entries)
    landing.settle(landing.write([(both.entries[0], MAIL + b"and more\r\n")]))
    landing.close()
    assert both.shown() == 2


def test_neither_takes_away_what_the_other_writes(both: Both) -> None:
    first = both.a.landing(looks=False)
    first.write([(both.entries[0], MAIL)])
    second = both.take_over().landing()
    written = second.write([(both.entries[0], MAIL)])
    assert len(both.files("tmp")) == 2
    first.clear_leftovers(both.entries)
    first.close()
    assert len(both.files("tmp")) == 1
    second.settle(written)
    first = both.a.landing(looks=False)
    first.clear_leftovers(both.entries)
    first.close()
    assert len(both.files()) == 1
    second.close()
    both.b.fenced(lambda home: home.ledger.enter([message.landed for message in written]))
    assert both.shown() == 1


def test_what_is_written_of_the_account_is_under_the_lease_too(both: Both) -> None:
    ours = both.accounts.fenced(both.a.lease.holds)
    ours.progress(both.account, (1, 2), (3, 4))
    both.take_over()
    theirs = both.accounts.fenced(both.b.lease.holds)
    with pytest.raises(LeaseLost):
        ours.moved(both.account)
    with pytest.raises(LeaseLost):
        ours.progress(both.account, (9, 9), (9, 9))
    assert both.accounts.get(both.account).messages_done == 1
    theirs.moved(both.account, far=((2, 2), (4, 4)))
    assert both.accounts.get(both.account).messages_done == 2
    assert both.accounts.get(both.account).state is State.WAITING


def test_what_users_do_meanwhile_asks_nobody(both: Both) -> None:
    both.take_over()
    both.a.home.create("A")
    assert "A" in [folder.name for folder in both.b.home.folders()]
