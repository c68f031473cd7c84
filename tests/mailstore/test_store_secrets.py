"""Passwords at rest."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mailstore import secrets
from mailstore.errors import SecretUnreadable, StorageFailed
from mailstore.secrets import KEY_OCTETS, Sealer, hash_password, load_key, verify_password
from tests.mailstore.store_rig import full_disk, open_descriptors

PASSWORDS = [b"secret", b"", b"\x00\xff\n", "пароль".encode(), b"x" * 10_000]


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(os.urandom(KEY_OCTETS))


@pytest.mark.parametrize("password", PASSWORDS[:3])
def test_a_hash_fits_its_password_alone(password: bytes) -> None:
    stored = hash_password(password)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify_password(stored, password)
    assert not verify_password(stored, password + b" ")
    assert hash_password(password) != stored


@pytest.mark.parametrize("stored", ["", "x", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1$YQ$é", "{SSHA}abc", "\x00"])
def test_what_is_no_hash_fits_nothing(stored: str) -> None:
    assert not verify_password(stored, b"secret")
    assert not verify_password(stored, b"")


@pytest.mark.parametrize("password", PASSWORDS)
def test_what_was_sealed_opens(sealer: Sealer, password: bytes) -> None:
    sealed = sealer.seal("ann@123.com", password)
    assert password not in sealed or not password
    assert sealer.open("ann@123.com", sealed) == password
    assert sealer.seal("ann@123.com", password) != sealed


def test_a_seal_is_bound_to_its_account(sealer: Sealer) -> None:
    sealed = sealer.seal("ann@123.com", b"secret")
    for account in ("bob@123.com", "ann@123.co", "", "ann@123.com "):
        with pytest.raises(SecretUnreadable):
            sealer.open(account, sealed)


def test_a_seal_that_was_changed_anywhere_does_not_open(sealer: Sealer) -> None:
    sealed = sealer.seal("ann@123.com", b"secret")
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(SecretUnreadable):
            sealer.open("ann@123.com", bytes(changed))
    for end in range(len(sealed)):
        with pytest.raises(SecretUnreadable):
            sealer.open("ann@123.com", sealed[:end])
    with pytest.raises(SecretUnreadable):
        sealer.open("ann@123.com", sealed + b"\x00")


def test_the_same_password_is_known_however_it_was_sealed(sealer: Sealer) -> None:
    one, again, other = (sealer.seal("ann@123.com", word) for word in (b"secret", b"secret", b"other"))
    assert sealer.same("ann@123.com", one, again) and sealer.same("ann@123.com", None, None)
    assert sealer.same("ann@123.com", b"damaged", b"damaged")
    assert not any(sealer.same("ann@123.com", one, each) for each in (other, None, b"damaged"))


def test_a_seal_needs_its_key(sealer: Sealer) -> None:
    sealed = sealer.seal("ann@123.com", b"secret")
    with pytest.raises(SecretUnreadable) as caught:
        Sealer(os.urandom(KEY_OCTETS)).open("ann@123.com", sealed)
    assert "secret" not in str(caught.value)


def test_the_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "sealing.key"
    key = load_key(path)
    assert len(key) == KEY_OCTETS
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key(path) == key
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "sealing.key"
    load_key(path)
    path.chmod(mode)
    with pytest.raises(StorageFailed, match="mode 0600"):
        load_key(path)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused_and_kept(tmp_path: Path, length: int) -> None:
    path = tmp_path / "sealing.key"
    path.write_bytes(b"k" * length)
    path.chmod(0o600)
    with pytest.raises(StorageFailed, match="32 octets"):
        load_key(path)
    assert path.read_bytes() == b"k" * length


def test_a_key_that_cannot_be_made(tmp_path: Path) -> None:
    descriptors = open_descriptors(tmp_path)
    with pytest.raises(StorageFailed) as caught:
        load_key(tmp_path / "missing" / "sealing.key")
    assert str(tmp_path) not in str(caught.value)
    with full_disk(10), pytest.raises(StorageFailed):
        load_key(tmp_path / "sealing.key")
    assert list(tmp_path.iterdir()) == []  # no half key that would be taken for one
    (tmp_path / "directory").mkdir(mode=0o700)
    with pytest.raises(StorageFailed):
        load_key(tmp_path / "directory")
    assert open_descriptors(tmp_path) == descriptors


def test_of_two_that_make_the_key_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sealing.key"
    make = secrets._make_key
    both = threading.Barrier(4)

    def together(at: Path) -> None:
        both.wait()
        make(at)

    monkeypatch.setattr(secrets, "_make_key", together)
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(load_key(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keys == [path.read_bytes()] * 4
    assert list(tmp_path.iterdir()) == [path]
