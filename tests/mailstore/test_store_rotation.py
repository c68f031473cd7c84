"""Another key for sealed passwords: all of it, interrupted anywhere, and while others seal."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from mailstore import rotation
from mailstore.accounts import Accounts
from mailstore.database import AccountsDatabase
from mailstore.errors import SecretUnreadable, StorageFailed
from mailstore.keys import KeyFile, sealer_of
from mailstore.rotation import Rotated, RotationRefused, Standing, named, rotate, standing
from mailstore.secrets import KEY_OCTETS, UNNAMED, Sealer, each
from tests.mailstore.store_rig import full_disk
from tests.postgres.accounts import BOTH

DATABASES = BOTH

COUNT = 25


class Killed(BaseException):
    """As SIGKILL: nothing that would still be done is done."""


class Company:
    """Accounts with sealed passwords, and their key."""

    def __init__(self, state: Path, database: AccountsDatabase) -> None:
        self.state = state
        self.path = state / "sealing.key"
        self.database = database
        self.accounts = Accounts(self.database)
        self.sealer = sealer_of(self.path)
        for number in range(COUNT):
            self.admit(f"user{number}")

    def admit(self, local: str) -> None:
        """As a login does."""
        self.accounts.admit(local, "123.com", partial(self.sealer.seal, f"{local}@123.com", self.word(local)))

    @staticmethod
    def word(local: str) -> bytes:
        return f"password of {local}".encode()

    @property
    def keys(self) -> list[bytes]:
        return each(self.path.read_bytes())

    def rotate(self, **others: Callable[..., None]) -> Rotated:
        return rotate(self.database, KeyFile(self.path), self.state, **{"pause": lambda _seconds: None, **others})  # type: ignore[arg-type]

    def all_open(self, sealer: Sealer | None = None) -> None:
        sealer = sealer or sealer_of(self.path)
        for account in self.accounts.list():
            assert account.sealed_password is not None
            assert sealer.open(account.name, account.sealed_password) == self.word(account.local)

    def standing(self) -> Standing:
        return standing(self.database, self.path.read_bytes())


@pytest.fixture
def company(tmp_path: Path, database: AccountsDatabase, monkeypatch: pytest.MonkeyPatch) -> Company:
    monkeypatch.setattr(rotation, "PORTION", 10)
    return Company(tmp_path, database)


def test_every_password_is_under_the_new_key_and_the_old_one_is_gone(company: Company) -> None:
    (old,) = company.keys
    told: list[tuple[int, int]] = []
    made = company.rotate(told=lambda done, whole: told.append((done, whole)))
    (new,) = company.keys
    assert new != old
    assert made == Rotated(named(new), (named(old),), sealed=COUNT, lost=0, resumed=False)
    assert told == [(10, COUNT), (20, COUNT), (COUNT, COUNT)]
    assert company.standing() == Standing(first=COUNT, others=0, lost=0)
    assert company.path.stat().st_mode & 0o777 == 0o600
    company.all_open()
    company.all_open(company.sealer)  # a daemon's: it has not been told
    company.admit("later")
    assert company.standing() == Standing(first=COUNT + 1, others=0, lost=0)
    assert not list(company.state.glob("sealing.key.*"))


def test_what_a_former_version_sealed(company: Company) -> None:
    name = "user3@123.com"
    before = company.accounts.find("user3", "123.com")
    assert before is not None
    nonce = os.urandom(12)
    cipher = company.sealer._ciphers[company.sealer.first]
    company.accounts.password_given(
        before.id, UNNAMED + nonce + cipher.encrypt(nonce, b"password of user3", name.encode())
    )
    assert company.standing() == Standing(first=COUNT - 1, others=1, lost=0)
    company.all_open()
    assert company.rotate().sealed == COUNT
    company.all_open()


STEPS = ["new key", "portion 1", "portion 2", "portion 3", "drop", "dropped"]


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_each_step_and_run_again(company: Company, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    (old,) = company.keys
    replace, sync, count = KeyFile.replace, rotation._Sealing._changed, [0, 0]

    def killed_before(file: KeyFile, keys: bytes) -> None:
        count[0] += 1
        if step == {1: "new key", 2: "drop"}[count[0]]:
            file.path.with_name("sealing.key.new").write_bytes(keys[:7])  # half of it
            raise Killed
        replace(file, keys)
        if (step, count[0]) == ("dropped", 2):
            raise Killed

    def killed_in(sealing: rotation._Sealing, row: object) -> object:
        count[1] += 1
        if step.startswith("portion") and count[1] == 10 * int(step[-1]) - 5:
            raise Killed
        return sync(sealing, row)

    monkeypatch.setattr(KeyFile, "replace", killed_before)
    monkeypatch.setattr(rotation._Sealing, "_changed", killed_in)
    with pytest.raises(Killed):
        company.rotate()
    monkeypatch.undo()
    company.all_open()
    company.all_open(company.sealer)
    company.admit("meanwhile")
    assert company.standing().lost == 0
    again = company.rotate()
    assert again.resumed is (step not in {"new key", "dropped"})
    (new,) = company.keys
    assert new != old
    assert company.standing() == Standing(first=COUNT + 1, others=0, lost=0)
    company.all_open()


def test_a_disk_that_is_full_changes_nothing(company: Company) -> None:
    keys = company.keys
    with full_disk(40), pytest.raises(StorageFailed, match="the key file cannot be written"):
        company.rotate()
    assert company.keys == keys
    company.all_open()
    assert not list(company.state.glob("sealing.key.*"))


def test_a_key_file_that_is_a_link_stays_one(company: Company, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    company.path.rename(elsewhere)
    company.path.symlink_to(elsewhere)
    old = company.keys
    company.rotate()
    assert company.path.is_symlink() and company.keys != old
    company.all_open()


def test_of_two_at_once_one_is_refused(company: Company) -> None:
    refused: list[str] = []

    def another(_done: int, _all: int) -> None:
        with pytest.raises(RotationRefused) as caught:
            company.rotate()
        refused.append(str(caught.value))

    company.rotate(told=another)
    assert "already" in refused[0]
    assert len(company.keys) == 1
    company.all_open()


def test_users_log_in_all_the_while(company: Company) -> None:
    """Their passwords are sealed by whoever knew the old key alone, and none is lost."""
    ended = threading.Event()
    trouble: list[BaseException] = []
    begun = threading.Barrier(3)

    def log_in(who: int) -> None:
        try:
            begun.wait()
            number = 0
            while not ended.is_set() or number < 20:
                company.admit(f"new{who}-{number % 20}")
                number += 1
        except BaseException as error:  # noqa: BLE001 - told by the test
            trouble.append(error)

    threads = [threading.Thread(target=log_in, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    begun.wait()
    for _ in range(5):
        company.rotate()
    ended.set()
    for thread in threads:
        thread.join()
    assert not trouble
    company.rotate()
    assert company.standing() == Standing(first=COUNT + 40, others=0, lost=0)
    company.all_open()


def test_what_opens_with_no_key_stays_as_it_is_and_is_counted(company: Company) -> None:
    account = company.accounts.find("user7", "123.com")
    assert account is not None
    other = Sealer(b"o" * KEY_OCTETS)
    company.accounts.password_given(account.id, other.seal(account.name, company.word("user7")))
    assert company.standing() == Standing(first=COUNT - 1, others=0, lost=1)
    made = company.rotate()
    assert (made.sealed, made.lost, len(company.keys)) == (COUNT - 1, 1, 1)
    with pytest.raises(SecretUnreadable, match="the key file has not the key"):
        company.all_open()
    with company.path.open("ab") as file:  # as `cat OTHER >> sealing.key` does
        file.write(b"o" * KEY_OCTETS)
    company.all_open(company.sealer)
    made = company.rotate()
    assert made == Rotated(named(company.keys[0]), (named(b"o" * KEY_OCTETS),), sealed=1, lost=0, resumed=True)
    company.all_open()


def test_a_key_file_that_goes_while_a_daemon_has_it(company: Company) -> None:
    kept = company.path.read_bytes()
    company.path.unlink()
    company.admit("li")
    company.path.write_bytes(b"half")
    company.admit("wang")
    company.path.write_bytes(kept)
    company.path.chmod(0o600)
    company.all_open()
