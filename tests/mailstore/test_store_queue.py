"""The queue of moves: who is due, who is first, what a pause does, and that many who wait cost nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest
from sqlalchemy import bindparam, insert, text, update
from sqlalchemy.dialects import sqlite

from mailstore import schema
from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.queue import Queue, Waits, backlog
from tests.postgres.accounts import BOTH

DATABASES = BOTH

NOW = 1_700_000_000
ROUND = 21_600


class Company:
    """Accounts, their queue, and the time."""

    def __init__(self, database: AccountsDatabase) -> None:
        self.now = float(NOW)
        self.database = database
        self.accounts = Accounts(database, clock=lambda: self.now)
        self.queue = Queue(database, clock=lambda: self.now)

    def moving(self, local: str, domain: str = "a.example") -> int:
        """Somebody whose first move was begun and has not ended."""
        account = self.accounts.admit(local, domain, b"sealed", "hash")
        self.accounts.begun(account.id)
        return account.id

    def moved(self, local: str, domain: str = "a.example", next_in: float | None = ROUND) -> int:
        number = self.moving(local, domain)
        self.accounts.moved(number, "", next_in)
        return number

    def set(self, number: int, **values: object) -> None:
        with self.database.write() as connection:
            connection.execute(update(schema.accounts).where(schema.accounts.c.id == number).values(**values))

    def fill(self, rows: Iterable[dict[str, object]]) -> None:
        """Many accounts whose mail is here."""
        usual = {"domain": "a.example", "state": "moved", "created": NOW, "sealed_password": b"x"}
        with self.database.write() as connection:
            connection.execute(insert(schema.accounts), [usual | row for row in rows])

    def take(self, most: int = 100, *domains: str) -> list[str]:
        return [account.name for account in self.queue.take(domains or ("a.example", "b.example"), most)]

    def get(self, number: int) -> Account:
        return self.accounts.get(number)


@pytest.fixture
def company(database: AccountsDatabase) -> Company:
    return Company(database)


def test_at_a_start_interrupted_moves_are_due_at_once(company: Company) -> None:
    company.moving("li")
    company.moved("wang")
    company.queue.begin(ROUND)
    assert company.queue.outlook(["a.example", "b.example"]) == {"a.example": NOW}
    assert company.take() == ["li@a.example"]
    assert company.take() == []


def test_a_move_that_did_not_begin_after_its_login_is_made_up_for(company: Company) -> None:
    company.accounts.admit("li", "a.example", b"sealed", "hash")
    assert company.take() == []
    company.now += 60
    assert company.take() == ["li@a.example"]


def test_rounds_are_spread_over_their_time(company: Company) -> None:
    company.fill({"local": f"u{n}"} for n in range(300))
    company.queue.begin(ROUND)
    due = [(account.due or 0) - NOW for account in company.accounts.list()]
    assert all(0 <= wait < ROUND for wait in due)
    for quarter in range(4):
        assert 40 < sum(quarter * ROUND / 4 <= wait < (quarter + 1) * ROUND / 4 for wait in due) < 115


def test_a_shorter_round_and_none(company: Company) -> None:
    number = company.moved("li", next_in=30 * 86_400)
    company.queue.begin(3_600)
    assert NOW <= (company.get(number).due or 0) < NOW + 3_600
    company.queue.begin(0)
    assert company.get(number).due is None


def test_what_was_asked_for_comes_first_and_domains_take_turns(company: Company) -> None:
    for local in ("1", "2", "3"):
        company.moving(local)
    company.moving("4", "b.example")
    company.queue.begin(ROUND)
    asked = [company.moved("x"), company.moved("y"), company.moved("z", "b.example")]
    company.queue.ask(asked)
    taken = company.take(4)
    assert [name.partition("@")[0] for name in taken] == ["x", "z", "y", "1"]
    assert [name.partition("@")[0] for name in company.take(4)] == ["2", "4", "3"]


def test_only_what_was_asked_for(company: Company) -> None:
    company.moving("li")
    company.queue.begin(ROUND)
    company.queue.ask([company.moved("wang")])
    taken = company.queue.take(["a.example"], 10, asked_only=True)
    assert [account.name for account in taken] == ["wang@a.example"]


@pytest.mark.parametrize("state", [State.FINAL, State.BLOCKED])
def test_who_cannot_be_moved_is_not_taken(company: Company, state: State) -> None:
    number = company.moving("li")
    company.queue.begin(ROUND)
    company.set(number, state=state.value)
    assert company.take() == []
    assert company.queue.outlook(["a.example"]) == {}


def test_a_password_that_was_rejected_is_not_used_again_until_there_is_another(company: Company) -> None:
    number = company.moved("li")
    company.accounts.password_rejected(number, "no longer")
    company.queue.begin(ROUND)
    assert (company.get(number).due, company.get(number).state) == (None, State.MOVED)
    company.queue.ask([number])
    assert company.take() == []
    company.accounts.admit("li", "a.example", b"sealed2", "hash2")
    assert company.get(number).password_state is PasswordState.KNOWN
    company.queue.ask([number])
    assert company.take() == ["li@a.example"]


def test_failures_count_and_success_forgets_them(company: Company) -> None:
    number = company.moving("li")
    for tries in (1, 2, 3):
        company.accounts.interrupted(number, "refused", 60)
        assert (company.get(number).tries, company.get(number).due) == (tries, NOW + 60)
    company.accounts.moved(number, "", 100)
    account = company.get(number)
    assert (account.tries, account.due, account.reason, account.asked) == (0, NOW + 100, "", None)


def test_a_move_that_gave_way_is_due_at_once_and_still_asked_for(company: Company) -> None:
    number = company.moved("li")
    company.queue.ask([number])
    company.take()
    company.accounts.gave_way(number)
    assert (company.get(number).due, company.get(number).asked) == (NOW, NOW)


def test_a_pause_of_an_account(company: Company) -> None:
    li, wang = company.moving("li"), company.moving("wang")
    company.queue.begin(ROUND)
    company.queue.pause([li], paused=True)
    assert company.queue.paused_of([li, wang]) == [li]
    assert company.accounts.is_paused("li", "a.example")
    assert not company.accounts.is_paused("wang", "a.example")
    assert company.take() == ["wang@a.example"]
    company.queue.pause([li], paused=False)
    assert company.take() == ["li@a.example"]


def test_a_pause_of_a_domain_is_of_accounts_that_are_not_here_yet_as_well(company: Company) -> None:
    li, chen = company.moving("li"), company.moving("chen", "b.example")
    company.queue.begin(ROUND)
    company.queue.pause_domain("a.example", paused=True)
    assert company.queue.paused_domains() == {"a.example": NOW}
    assert company.accounts.is_paused("nobody", "a.example")
    assert company.queue.paused_of([li, chen]) == [li]
    assert company.queue.outlook(["a.example", "b.example"]) == {"b.example": NOW}
    company.queue.pause([li], paused=True)
    company.queue.pause_domain("a.example", paused=False)
    assert not company.accounts.is_paused("li", "a.example")
    assert company.take() == ["li@a.example", "chen@b.example"]


def test_what_was_asked_for_and_what_it_waits_for(company: Company) -> None:
    turn, end, paused = company.moved("turn"), company.moved("end"), company.moved("paused")
    company.queue.ask([end])
    company.take()
    company.queue.ask([turn, paused])
    company.queue.pause([paused], paused=True)
    assert company.queue.asked(["a.example"]) == {turn: Waits.TURN, end: Waits.END, paused: Waits.PAUSED}
    company.queue.no_longer([turn, end, paused])
    assert company.queue.asked(["a.example"]) == {}


def test_a_host_that_is_not_there_is_told_to_all_who_were_asked_for_and_wait(company: Company) -> None:
    asked = [company.moved(f"u{n}") for n in range(3)]
    other, elsewhere = company.moved("other"), company.moved("x", "b.example")
    company.queue.ask([*asked, elsewhere])
    (under_way,) = company.queue.take(["a.example"], 1)
    company.queue.put_off(["a.example"], "refuses connections", 300)
    waiting = [company.get(number) for number in asked if number != under_way.id]
    assert {(account.asked, account.reason) for account in waiting} == {(None, "refuses connections")}
    assert all(NOW + 300 <= (account.due or 0) <= NOW + 600 for account in waiting)
    assert company.get(under_way.id).asked == company.get(elsewhere).asked == NOW
    assert company.get(other).reason == ""


def test_blocked_accounts_go_on_where_they_were(company: Company) -> None:
    whole, not_whole = company.moved("whole"), company.moving("not")
    for number in (whole, not_whole):
        company.set(number, state=State.BLOCKED.value)
    company.queue.ask([whole, not_whole], again=True)
    assert [company.get(n).state for n in (whole, not_whole)] == [State.MOVED, State.MOVING]
    assert company.get(whole).again
    company.accounts.moved(whole)
    assert not company.get(whole).again


def test_news_of_other_processes(company: Company, another: AccountsDatabase) -> None:
    number = company.moved("li")
    before = company.queue.version()
    assert company.queue.version() == before
    Queue(another).ask([number])
    assert company.queue.version() != before


@pytest.mark.parametrize("database", ["file"], indirect=True)
def test_a_hundred_thousand_who_wait_cost_what_a_thousand_do(company: Company) -> None:
    """Each question is a step down an index: how many others are due, asked for, paused or of other domains does not
    matter."""

    def fill(first: int, last: int) -> None:
        """By the database alone, without the triggers, which would keep figures row by row."""
        with company.database.write() as connection:
            found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
            triggers = {row.name: row.sql for row in found}
            for name in triggers:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
            connection.exec_driver_sql(
                "INSERT INTO accounts (domain, local, state, created, sealed_password, due, asked, paused) "
                "WITH RECURSIVE numbers(n) AS (VALUES(?) UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?) "
                "SELECT 'd' || (n % 10) || '.example', 'u' || n, 'moved', ?, x'78', ? - n % 1000, "
                "iif(n % 3 = 0, ?, NULL), n % 7 = 0 FROM numbers",
                (first, last, NOW, NOW, NOW),
            )
            for statement in triggers.values():
                connection.exec_driver_sql(statement)

    domains = [f"d{n}.example" for n in range(10)]

    def took() -> float:
        best = 1e9
        for _ in range(3):
            began = time.process_time()
            for _ in range(20):
                company.queue.outlook(domains)
                assert len(company.queue.take(domains, 20)) == 20
            best = min(best, time.process_time() - began)
        return best

    fill(0, 3_000)
    few = took()
    fill(3_000, 100_000)
    assert took() < 3 * few + 0.02


def test_how_much_is_due(company: Company) -> None:
    numbers = [company.moving(name) for name in ("li", "wang", "zhao")]
    company.queue.begin(ROUND)
    company.moving("chen", "b.example")
    company.queue.ask(numbers[:1])
    company.queue.pause(numbers[2:], paused=True)
    company.now += 60
    assert company.queue.backlog(["a.example", "b.example", "c.example"]) == {
        "a.example": (2, 1, 60),
        "b.example": (0, 0, 0),
        "c.example": (0, 0, 0),
    }
    company.queue.pause_domain("a.example", paused=True)
    assert company.queue.backlog(["a.example"]) == {"a.example": (0, 0, 0)}


@pytest.mark.parametrize("database", ["file"], indirect=True)
def test_what_is_due_is_counted_in_an_index(database: AccountsDatabase) -> None:
    """No row of the table is read, however many are due."""
    with database.read() as connection:
        statement = backlog(bindparam("d")).compile(dialect=sqlite.dialect(paramstyle="named"))
        values = {**statement.params, "d": "a.example", "now": 1}
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN {statement}"), values).all()
    steps = [row[3] for row in plan if "accounts" in row[3]]
    assert len(steps) == 3
    assert all("COVERING INDEX accounts_" in step for step in steps)
    assert sum("accounts_asked (domain=? AND paused=? AND asked>?" in step for step in steps) == 1
