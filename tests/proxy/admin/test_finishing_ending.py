"""Accounts become final: with the password that they have, and whatever comes between two batches."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from argon2 import PasswordHasher

from mailstore import secrets
from mailstore.accounts import Account, Accounts, State
from mailstore.database import AccountsDatabase
from mailstore.finishing import Finish, Finishing
from mailstore.secrets import KEY_OCTETS, Sealer, verify_password
from proxy.admin.finishing import ending
from proxy.admin.finishing.behind import Behind, Why
from proxy.admin.finishing.ending import make_final

SEALER = Sealer(b"k" * KEY_OCTETS)
WORD = b"correct horse"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def end(database: AccountsDatabase, behind: Sequence[Behind] = ()) -> list[Account]:
    """All accounts, made final as far as that goes."""
    told: list[int] = []
    accounts = [account for account in Accounts(database).list() if account.state is not State.FINAL]
    assert make_final(Finishing(database), SEALER, [(account, behind) for account in accounts], told.append) == []
    assert sum(told) == len(accounts)
    return list(Accounts(database).list())


def test_a_password_that_was_not_hashed_yet_is_not_lost(database: AccountsDatabase) -> None:
    accounts = Accounts(database)
    moved = accounts.admit(
        "li", "123.com", SEALER.seal("li@123.com", WORD)
    )  # and the daemon was killed before the hash
    accounts.moved(moved.id)
    (found,) = end(database)
    assert (found.state, found.sealed_password, found.reason) == (State.FINAL, None, "")
    assert verify_password(found.password_hash or "", WORD)


def test_a_password_that_nobody_has_tried_is_none(database: AccountsDatabase) -> None:
    accounts = Accounts(database)
    accounts.password_given(accounts.add("li", "123.com").id, SEALER.seal("li@123.com", WORD))
    (found,) = end(database, [Behind(Why.NEVER, "it never came"), Behind(Why.QUARANTINED, "", 2)])
    assert (found.password_hash, found.sealed_password) == (None, None)
    assert found.reason == (
        "left behind: never logged in, so that nothing was carried over: it never came; 2 messages in quarantine"
    )


def test_one_that_does_not_open_is_final_all_the_same(database: AccountsDatabase) -> None:
    Accounts(database).admit("li", "123.com", b"\x01 of another key file")
    (found,) = end(database)
    assert (found.state, found.password_hash, found.sealed_password) == (State.FINAL, None, None)


def test_what_stops_between_two_batches_is_gone_on_with(
    database: AccountsDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "BATCH", 2)
    accounts = Accounts(database)
    for number in range(5):
        accounts.moved(accounts.admit(f"user{number}", "123.com", b"sealed", f"hash {number}").id)
    done = Finishing.finish
    batches: list[int] = []

    def dies(self: Finishing, batch: Sequence[Finish]) -> list[Account]:
        if len(batches) == 1:
            raise KeyboardInterrupt
        batches.append(len(batch))
        return done(self, batch)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Finishing, "finish", dies)
        end(database)
    states = [account.state for account in accounts.list()]
    assert states == [State.FINAL] * 2 + [State.MOVED] * 3
    found = end(database)
    assert {account.state for account in found} == {State.FINAL}
    assert [account.password_hash for account in found] == [f"hash {number}" for number in range(5)]
