"""The steps of an end: who is carried, compared, judged and made final, whoever else is at it at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from mailstore import secrets
from mailstore.accounts import Accounts, State
from mailstore.database import AccountsDatabase
from mailstore.errors import StorageFailed
from mailstore.finishing import Finishing
from mailstore.queue import Queue
from mailstore.secrets import KEY_OCTETS, Sealer
from proxy import config
from proxy.admin.finishing.run import Run
from proxy.admin.watch import Ended
from tests.proxy.login.login_rig import CONFIG

SEALER = Sealer(b"k" * KEY_OCTETS)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AccountsDatabase]:
    monkeypatch.setattr(secrets, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    made = AccountsDatabase(tmp_path / "accounts.db")
    accounts = Accounts(made)
    for name in ("li", "wang"):
        sealed = SEALER.seal(f"{name}@123.com", b"a password")
        accounts.moved(accounts.admit(name, "123.com", sealed, f"hash of {name}").id, far=((2, 2), (20, 20)))
    accounts.add("never", "123.com")
    yield made
    made.close()


def run(database: AccountsDatabase, tmp_path: Path, *, rehearsed: bool = False) -> Run:
    settings = config.parse(CONFIG.format(state=tmp_path, accounts="open", port=110, connections=5).encode())
    numbers = [account.id for account in Accounts(database).list()]
    return Run(settings, database, SEALER, ["123.com"], numbers, rehearsed=rehearsed)


def test_who_is_carried_and_who_is_compared(database: AccountsDatabase, tmp_path: Path) -> None:
    ending = run(database, tmp_path)
    assert [account.local for account in ending.to_carry()] == ["li", "wang"]
    assert [account.local for account in ending.to_compare()] == ["li", "wang"]
    assert run(database, tmp_path, rehearsed=True).to_carry() == []
    (li, *_) = ending.to_carry()
    ending.carried([Ended(li, "the old server is away")])
    judged = ending.judge()
    assert [(one.account.local, one.reasons()) for one in judged.left] == [
        ("li", "unfinished"),
        ("never", "never-logged-in"),
    ]
    assert judged.refusal == "2 accounts would leave something behind" and judged.todo == 3
    Queue(database).pause_domain("123.com", paused=True)
    paused = run(database, tmp_path)
    assert (paused.to_carry(), paused.to_compare()) == ([], [])
    assert {one.reasons() for one in paused.judge().left} == {"paused", "never-logged-in"}


def test_made_final_by_somebody_else_in_between_is_final_and_not_changed(
    database: AccountsDatabase, tmp_path: Path
) -> None:
    mine, other = run(database, tmp_path), run(database, tmp_path)
    judged = mine.judge()
    accounts = Accounts(database)
    assert other.end(other.judge()).trouble == ""
    made = mine.end(judged)
    assert made.trouble == "" and not any(one.changed for one in made.accounts)
    assert all(one.final and one.since is not None for one in made.accounts)
    assert [account.password_hash for account in accounts.list()] == ["hash of li", None, "hash of wang"]
    assert mine.over()
    found = mine.finished(made.accounts, refused="", leave_behind=True)
    assert (found.final, found.before, found.left) == (3, 0, 1)


def test_who_logs_in_in_between_is_left_and_told(database: AccountsDatabase, tmp_path: Path) -> None:
    ending = run(database, tmp_path)
    judged = ending.judge()
    accounts = Accounts(database)
    accounts.admit("never", "123.com", b"sealed", None)
    told: list[int] = []
    made = ending.end(judged, told.append)
    assert made.trouble == "1 account changed meanwhile and not final: run it again" and sum(told) == 3
    assert [(one.account.local, one.final, one.changed) for one in made.accounts] == [
        ("li", True, False),
        ("never", False, True),
        ("wang", True, False),
    ]
    never = accounts.find("never", "123.com")
    assert never is not None and never.state is State.MOVING and never.sealed_password == b"sealed"


def test_a_log_that_cannot_be_emptied_is_told(
    database: AccountsDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(_self: Finishing) -> None:
        raise StorageFailed("it is read all the time")

    monkeypatch.setattr(Finishing, "wipe", busy)
    ending = run(database, tmp_path)
    made = ending.end(ending.judge())
    assert made.trouble.endswith("may still be in the database's log: it is read all the time")
    assert all(one.final for one in made.accounts)
