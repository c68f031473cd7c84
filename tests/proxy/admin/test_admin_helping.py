"""`proxy.admin.helping`: what is done for accounts, and for which it is not."""

from __future__ import annotations

import itertools
import json

import pytest

from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.overview import Overview, Wanted
from mailstore.proofs import Proofs
from mailstore.queue import Queue
from mailstore.secrets import Sealer, verify_password
from proxy.admin.chosen import obstacle
from proxy.admin.helping import Done, Help, Helping, Hindrance, hindrance
from proxy.admin.passwords import CannotSet, NotSet
from proxy.admin.proving import settings_of
from proxy.config import parse
from proxy.wire.door import Secret
from tests.proxy.admin.test_admin_remedies import account as made_up
from tests.proxy.config.examples import DESIGN

KEY = b"k" * 32
CONFIG = parse(DESIGN.encode())


@pytest.fixture
def accounts(database: AccountsDatabase) -> Accounts:
    return Accounts(database)


@pytest.fixture
def helping(database: AccountsDatabase, accounts: Accounts) -> Helping:
    return Helping(CONFIG, database, accounts, Sealer(KEY))


def moved(accounts: Accounts, local: str) -> Account:
    account = accounts.admit(local, "123.com", Sealer(KEY).seal(f"{local}@123.com", b"right"), "hash")
    accounts.moved(account.id)
    return accounts.get(account.id)


def in_state(database: AccountsDatabase, account: Account, state: State) -> Account:
    from sqlalchemy import update

    from mailstore.schema import accounts as table

    with database.write() as connection:
        connection.execute(update(table).where(table.c.id == account.id).values(state=state.value))
    return Accounts(database).get(account.id)


def test_what_a_filter_finds_is_not_moved_before_its_domain_is_proven(
    database: AccountsDatabase, accounts: Accounts, helping: Helping
) -> None:
    li = moved(accounts, "li")
    assert helping.help(Help.MOVE, [li], filtered=True) == Done(0, 1, Hindrance.UNPROVEN)
    assert helping.help(Help.RETRY, [li], filtered=True).accounts == 1
    assert helping.help(Help.MOVE, [li]).accounts == 1  # it was named
    Proofs(database).write("123.com", "li@123.com", json.dumps(settings_of(CONFIG.domains["123.com"])), "{}")
    assert helping.help(Help.MOVE, [li], filtered=True).accounts == 1


def test_try_again(database: AccountsDatabase, accounts: Accounts, helping: Helping) -> None:
    blocked = in_state(database, moved(accounts, "li"), State.BLOCKED)
    waiting = accounts.add("anna", "123.com")
    assert helping.help(Help.RETRY, [waiting, blocked]) == Done(1, 1, Hindrance.UNKNOWN)
    after = accounts.get(blocked.id)
    assert (after.state, after.again, after.asked is not None) == (State.MOVED, True, True)
    assert accounts.get(waiting.id).asked is None


def test_move_now(accounts: Accounts, helping: Helping) -> None:
    account = moved(accounts, "li")
    assert helping.help(Help.MOVE, [account]) == Done(1, 0)
    after = accounts.get(account.id)
    assert (after.asked is not None, after.again) == (True, False)


def test_pause_and_resume(database: AccountsDatabase, accounts: Accounts, helping: Helping) -> None:
    account = moved(accounts, "li")
    assert helping.help(Help.PAUSE, [account]) == Done(1, 0)
    paused = accounts.get(account.id)
    assert paused.paused
    assert helping.help(Help.PAUSE, [paused]) == Done(0, 1, Hindrance.PAUSED_ALREADY)
    assert helping.help(Help.MOVE, [paused]) == Done(0, 1, Hindrance.PAUSED)
    assert helping.help(Help.RESUME, [paused]) == Done(1, 0)
    assert helping.help(Help.RESUME, [account]) == Done(0, 1, Hindrance.NOT_PAUSED)
    helping.pause_domain("123.com", paused=True)
    assert list(Queue(database).paused_domains()) == ["123.com"]
    assert helping.help(Help.RETRY, [accounts.get(account.id)]) == Done(0, 1, Hindrance.PAUSED)
    helping.pause_domain("123.com", paused=False)
    assert not Queue(database).paused_domains()


def test_all_that_a_filter_finds_a_batch_at_a_time(
    database: AccountsDatabase, accounts: Accounts, helping: Helping
) -> None:
    from sqlalchemy import insert

    from mailstore.schema import accounts as table

    rows = [{"domain": "123.com", "local": f"u{n}", "state": "waiting", "created": 1} for n in range(1_201)]
    with database.write() as connection:
        connection.execute(insert(table), rows)
    assert helping.help(Help.PAUSE, Overview(database).each(Wanted("123.com"))) == Done(1_201, 0)
    assert Overview(database).exactly(Wanted("123.com", paused=True)) == 1_201


def test_a_password_of_the_old_server_is_sealed_and_tried(accounts: Accounts, helping: Helping) -> None:
    account = accounts.add("li", "123.com")
    helping.set_password(account, Secret("旧 password".encode()))
    after = accounts.get(account.id)
    assert after.sealed_password is not None
    assert Sealer(KEY).open("li@123.com", after.sealed_password) == "旧 password".encode()
    assert (after.password_state, after.asked is not None, after.password_hash) == (PasswordState.UNTRIED, True, None)


def test_a_final_account_s_password_is_set_here(
    database: AccountsDatabase, accounts: Accounts, helping: Helping
) -> None:
    account = in_state(database, moved(accounts, "li"), State.FINAL)
    helping.set_password(account, Secret(b"a new password"))
    after = accounts.get(account.id)
    assert after.password_hash is not None
    assert verify_password(after.password_hash, b"a new password")
    assert after.asked is None


@pytest.mark.parametrize(
    ("state", "password", "why"),
    [
        (State.MOVED, b"another", NotSet.KNOWN),
        (State.MOVED, b"", NotSet.EMPTY),
        (State.FINAL, b"short", NotSet.SHORT),
        (State.FINAL, b"x" * 1_001, NotSet.LONG),
    ],
)
def test_passwords_that_are_not_set(
    database: AccountsDatabase, accounts: Accounts, helping: Helping, state: State, password: bytes, why: NotSet
) -> None:
    account = in_state(database, moved(accounts, "li"), state)
    with pytest.raises(CannotSet) as refused:
        helping.set_password(account, Secret(password))
    assert refused.value.why is why
    assert accounts.get(account.id) == account


def test_a_password_that_does_not_open_any_more_may_be_given_anew(
    database: AccountsDatabase, accounts: Accounts
) -> None:
    account = moved(accounts, "li")
    after_the_loss = Helping(CONFIG, database, accounts, Sealer(b"n" * 32))
    assert not Helping(CONFIG, database, accounts, Sealer(KEY)).may_be_given(account)
    assert after_the_loss.may_be_given(account)
    after_the_loss.set_password(account, Secret(b"right"))
    assert accounts.get(account.id).password_state is PasswordState.UNTRIED


def test_a_rejected_password_may_be_given_anew(accounts: Accounts, helping: Helping) -> None:
    account = moved(accounts, "li")
    accounts.password_rejected(account.id, "no longer")
    helping.set_password(accounts.get(account.id), Secret(b"new"))
    assert accounts.get(account.id).password_state is PasswordState.UNTRIED


def test_the_command_line_and_the_console_agree_on_what_can_be_moved() -> None:
    every = itertools.product(State, PasswordState, (None, b"sealed"), (False, True), (False, True))
    for state, password_state, sealed, paused, domain_paused in every:
        account = made_up(state=state, password_state=password_state, sealed_password=sealed, paused=paused, reason="x")
        here = hindrance(Help.MOVE, account, domain_paused=domain_paused)
        assert (here is None) == (obstacle(account, paused=domain_paused) == "")
