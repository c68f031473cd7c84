"""Accounts become final, and no trace of their sealed passwords stays in any file."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mailstore import finishing
from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from mailstore.finishing import Finish, Finishing, Standing
from mailstore.queue import Queue
from tests.postgres.accounts import BOTH


def made(database: AccountsDatabase, count: int) -> list[Account]:
    """Accounts whose mail is here, with sealed passwords of random octets."""
    accounts = Accounts(database)
    for number in range(count):
        account = accounts.admit(f"user{number}", "123.com", os.urandom(60), f"hash {number}")
        accounts.moved(account.id, far=((3, 3), (300, 300)))
    return list(accounts.list())


def traces(directory: Path, accounts: list[Account]) -> int:
    contents = [path.read_bytes() for path in directory.glob("accounts.db*")]
    return sum(account.sealed_password in content for account in accounts for content in contents)


def test_sealed_passwords_are_gone_from_the_file_and_its_log_while_others_have_it_open(
    database: AccountsDatabase, tmp_path: Path
) -> None:
    other = AccountsDatabase(tmp_path / "accounts.db")
    accounts = made(database, 80)
    with closing(sqlite3.connect(tmp_path / "accounts.db")) as former:  # a version that let copies of rows lie about
        former.execute("PRAGMA secure_delete=OFF")
        for length in (300, 0, 100):
            former.execute("UPDATE accounts SET reason = ?", ["x" * length])
            former.commit()
    assert traces(tmp_path, accounts) >= 80
    final = Finishing(database)
    assert final.finish([Finish(a, "", a.password_hash) for a in accounts]) == []
    final.wipe()
    assert traces(tmp_path, accounts) == 0
    assert {a.state for a in Accounts(other).list()} == {State.FINAL}
    assert (tmp_path / "accounts.db-wal").stat().st_size == 0
    assert (tmp_path / "accounts.db").stat().st_mode & 0o077 == 0
    other.close()


def test_other_accounts_keep_theirs(database: AccountsDatabase, tmp_path: Path) -> None:
    gone, kept = made(database, 2)
    final = Finishing(database)
    final.finish([Finish(gone, "said", "hash")])
    final.wipe()
    assert (traces(tmp_path, [gone]), Accounts(database).get(kept.id)) == (0, kept)
    account = Accounts(database).get(gone.id)
    assert (account.reason, account.password_hash, account.due, account.asked) == ("said", "hash", None, None)


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_who_has_changed_since_is_left_as_he_is(database: AccountsDatabase) -> None:
    accounts = Accounts(database)
    new_password, given, waiting, same = [
        *made(database, 3)[:2],
        accounts.add("w", "123.com"),
        accounts.add("x", "123.com"),
    ]
    accounts.admit("user0", "123.com", b"sealed anew", "another hash")
    accounts.password_given(given.id, b"by an administrator")
    accounts.admit("w", "123.com", b"sealed", None)
    changed = Finishing(database).finish([Finish(a, "", a.password_hash) for a in (new_password, given, waiting, same)])
    assert [account.name for account in changed] == ["user0@123.com", "user1@123.com", "w@123.com"]
    assert [accounts.get(a.id).state for a in (new_password, given, waiting, same)] == [
        "moved",
        "moved",
        "moving",
        "final",
    ]


def test_a_reader_who_does_not_end_is_told_of_and_it_can_be_wiped_later(
    database: AccountsDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mailstore import sqlite as module

    monkeypatch.setattr(module, "BUSY_TIMEOUT", 0.01)
    accounts = made(database, 2)
    final = Finishing(database)
    with database.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM accounts").all()
        final.finish([Finish(a, "", None) for a in accounts])
        with pytest.raises(StorageFailed, match="read all the time"):
            final.wipe()
    final.wipe()
    assert traces(tmp_path, accounts) == 0


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_how_those_stand_that_are_not_final(database: AccountsDatabase) -> None:
    accounts, queue = Accounts(database), Queue(database)
    kept, rejected, done = made(database, 3)
    never, elsewhere = accounts.add("never", "123.com"), accounts.add("li", "456.com")
    accounts.password_rejected(rejected.id, "no")
    final = Finishing(database)
    final.finish([Finish(done, "", None)])
    queue.pause([kept.id], paused=True)
    queue.pause_domain("456.com", paused=True)
    numbers = final.numbers("123.com")
    assert (numbers, final.numbers("123.com", final=True)) == ([never.id, kept.id, rejected.id, done.id], [done.id])
    assert set(final.standing([*numbers, elsewhere.id])) == {
        Standing(never.id, State.WAITING, False, PasswordState.KNOWN, False),
        Standing(kept.id, State.MOVED, True, PasswordState.KNOWN, True),
        Standing(rejected.id, State.MOVED, True, PasswordState.REJECTED, False),
        Standing(elsewhere.id, State.WAITING, False, PasswordState.KNOWN, True),
    }


@pytest.mark.parametrize("database", BOTH, indirect=True)
def test_the_way_back(database: AccountsDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "BATCH", 2)
    accounts = Accounts(database)
    whole = made(database, 3)
    half = accounts.admit("half", "123.com", b"sealed", "hash")
    accounts.progress(half.id, (1, 2), (10, 20))
    never = accounts.add("never", "123.com")
    every = [accounts.get(a.id) for a in (*whole, half, never)]
    final = Finishing(database, lambda: 1_700_000_000.9)
    final.finish([Finish(a, "left behind", a.password_hash or "set later") for a in every])
    assert {accounts.get(a.id).finalized for a in every} == {1_700_000_000}
    assert final.reopen([a.id for a in every] + [99]) == 5
    assert final.reopen([a.id for a in every]) == 0
    found = [accounts.get(a.id) for a in every]
    assert [a.state for a in found] == ["moved", "moved", "moved", "moving", "waiting"]
    assert [a.password_hash for a in found][3:] == ["hash", None]
    assert {(a.reason, a.sealed_password, a.password_state) for a in found} == {("", None, PasswordState.KNOWN)}
    assert {a.finalized for a in found} == {None}
