"""Accounts, their states, and what `status` adds up."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import insert, update

from mailstore import schema
from mailstore.accounts import Accounts, State
from mailstore.database import AccountsDatabase
from mailstore.figures import Totals, totals_of
from mailstore.overview import Overview
from tests.mailstore.store_rig import NOW
from tests.postgres.accounts import BOTH

DATABASES = BOTH


@pytest.fixture
def accounts(database: AccountsDatabase) -> Accounts:
    return Accounts(database, clock=lambda: NOW + 0.9)


def set_state(database: AccountsDatabase, account_id: int, state: State) -> None:
    with database.write() as connection:
        connection.execute(update(schema.accounts).where(schema.accounts.c.id == account_id), {"state": state})


def test_a_new_account_waits(accounts: Accounts) -> None:
    assert accounts.find("ann", "123.com") is None
    made = accounts.add("ann", "123.com")
    assert (made.name, made.state, made.reason) == ("ann@123.com", State.WAITING, "")
    assert (made.password_hash, made.sealed_password, made.last_login, made.refreshed) == (None, None, None, None)
    assert (made.messages_done, made.messages_total, made.bytes_done, made.bytes_total) == (0, 0, 0, 0)
    assert accounts.find("ann", "123.com") == made == accounts.get(made.id) == accounts.add("ann", "123.com")


@pytest.mark.parametrize("local", ["ann", "ann.b+c", "李雷", "o'hara", 'a";--', "%", "_"])
def test_names_are_told_apart(accounts: Accounts, local: str) -> None:
    ids = {accounts.add(local, domain).id for domain in ("123.com", "124.com")}
    ids.add(accounts.add("other", "123.com").id)
    assert len(ids) == 3
    found = accounts.find(local, "123.com")
    assert found is not None
    assert found.local == local


def test_an_account_does_not_print_its_secrets(accounts: Accounts) -> None:
    made = accounts.add("ann", "123.com")
    accounts.admit("ann", "123.com", b"sealed", "$argon2id$hash")
    assert repr(accounts.get(made.id)) == "<Account ann@123.com moving>"
    assert f"{accounts.get(made.id)}" == "<Account ann@123.com moving>"


def test_the_way_of_an_account(accounts: Accounts) -> None:
    number = accounts.add("ann", "123.com").id
    accounts.admit("ann", "123.com", b"sealed", "hash")
    accounts.logged_in(number)
    accounts.progress(number, (3, 10), (300, 1000))
    accounts.set_reason(number, "the legacy server is not reachable")
    account = accounts.get(number)
    assert (account.state, account.password_hash, account.sealed_password) == (State.MOVING, "hash", b"sealed")
    assert (account.last_login, account.refreshed) == (NOW, None)
    assert (account.messages_done, account.messages_total) == (3, 10)
    assert (account.bytes_done, account.bytes_total) == (300, 1000)
    assert account.reason == "the legacy server is not reachable"
    accounts.moved(number)
    account = accounts.get(number)
    assert (account.state, account.reason, account.refreshed) == (State.MOVED, "", NOW)
    accounts.admit("ann", "123.com", b"newer", "newer")
    accounts.moved(number, "1 message is in quarantine")
    account = accounts.get(number)
    assert (account.state, account.reason) == (State.MOVED, "1 message is in quarantine")
    assert (account.password_hash, account.sealed_password) == ("newer", b"newer")


@pytest.mark.parametrize("state", [State.MOVED, State.FINAL, State.BLOCKED])
def test_a_late_move_or_login_changes_no_state(accounts: Accounts, database: AccountsDatabase, state: State) -> None:
    number = accounts.add("ann", "123.com").id
    set_state(database, number, state)
    accounts.admit("ann", "123.com", b"sealed", "hash")
    accounts.moved(number)
    assert accounts.get(number).state is state


def test_a_waiting_account_is_not_moved_by_a_move_alone(accounts: Accounts) -> None:
    number = accounts.add("ann", "123.com").id
    accounts.moved(number)
    assert accounts.get(number).state is State.WAITING


def test_a_final_account_keeps_no_sealed_password(accounts: Accounts, database: AccountsDatabase) -> None:
    """A login that began before `finalize` may end after it (invariant 9)."""
    number = accounts.add("ann", "123.com").id
    set_state(database, number, State.FINAL)
    accounts.admit("ann", "123.com", b"sealed", "hash")
    assert accounts.get(number).sealed_password is None
    assert accounts.get(number).password_hash == "hash"


def test_a_hash_that_is_still_to_come_leaves_none_that_is_no_longer_right(accounts: Accounts) -> None:
    number = accounts.admit("ann", "123.com", b"sealed", "hash").id
    assert accounts.admit("ann", "123.com", b"newer").password_hash is None
    accounts.password_hashed(number, "newer")
    assert (accounts.get(number).password_hash, accounts.get(number).sealed_password) == ("newer", b"newer")


def test_a_password_is_the_users_to_choose_once_the_account_is_final(
    accounts: Accounts, database: AccountsDatabase
) -> None:
    account = accounts.admit("ann", "123.com", b"sealed", "old hash")
    for state in State:
        set_state(database, account.id, state)
        assert accounts.password_chosen(account.id, f"hash {state}") is (state is State.FINAL)
    assert accounts.get(account.id).password_hash == "hash final"
    assert accounts.password_chosen(99, "hash") is False


def test_changes_are_of_one_account_alone(accounts: Accounts) -> None:
    ann, bob = accounts.add("ann", "123.com"), accounts.add("bob", "123.com")
    accounts.admit("ann", "123.com", b"sealed", "hash")
    accounts.logged_in(ann.id)
    accounts.progress(ann.id, (1, 1), (1, 1))
    accounts.moved(ann.id, "x")
    assert accounts.get(bob.id) == bob


def test_one_account_is_made_by_many_at_once(accounts: Accounts) -> None:
    made: list[int] = []
    threads = [threading.Thread(target=lambda: made.append(accounts.add("ann", "123.com").id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1


# Many of them


def fill(database: AccountsDatabase, count: int, domain: str, state: State, each: int = 0) -> None:
    values = [
        {
            "domain": domain,
            "local": f"u{n * 7919 % count:05}",
            "state": state,
            "created": NOW,
            "messages_done": each,
            "messages_total": 2 * each,
            "bytes_done": each * 1_000_000_000,
        }
        for n in range(count)
    ]
    with database.write() as connection:
        connection.execute(insert(schema.accounts), values)


def test_totals_are_of_each_domain(accounts: Accounts, database: AccountsDatabase) -> None:
    overview = Overview(database)
    assert overview.domains() == {}
    for number, state in enumerate(State, 1):
        fill(database, 10, f"{state}.com", state, each=number)
    fill(database, 1000, "123.com", State.MOVED, each=1000)
    accounts.add("ann", "123.com")
    totals = {name: totals_of(figures) for name, figures in overview.domains().items()}
    assert set(totals) == {"123.com", *(f"{state}.com" for state in State)}
    assert totals["123.com"] == Totals(1001, waiting=1, moved=1000, messages=10**6, bytes=10**15)
    assert totals["blocked.com"] == Totals(10, blocked=10, messages=50, bytes=50_000_000_000)
    assert sum(t.accounts for t in totals.values()) == 1051


def test_a_long_list_comes_by_name_each_account_once(accounts: Accounts, database: AccountsDatabase) -> None:
    fill(database, 2500, "123.com", State.WAITING)
    fill(database, 3, "122.com", State.MOVED)
    fill(database, 1000, "124.com", State.MOVED)
    everyone = [(account.domain, account.local) for account in accounts.list()]
    assert everyone == sorted(everyone)
    assert len(everyone) == len(set(everyone)) == 3503
    assert [account.local for account in accounts.list("123.com")] == [f"u{n:05}" for n in range(2500)]
    assert len(list(accounts.list("124.com"))) == 1000  # exactly a page
    assert list(accounts.list("nobody.com")) == []


def test_a_list_that_is_being_read_holds_nobody_up(accounts: Accounts, database: AccountsDatabase) -> None:
    fill(database, 1500, "123.com", State.WAITING)
    listing = accounts.list()
    assert next(listing).local == "u00000"
    late = accounts.add("zoe", "123.com")  # writes while the list is half read
    accounts.add("a", "123.com")
    left = list(listing)
    assert len(left) == 1500
    assert left[-1] == late
