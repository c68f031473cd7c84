"""`mailferry rotate-key`; a key that is a credential; what `check` and `restore` say of keys."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mailstore import backup
from mailstore.accounts import Accounts
from mailstore.keys import KeyFile, sealer_of
from mailstore.rotation import add_key, named
from mailstore.secrets import KEY_OCTETS, each, load_key
from proxy.config import places
from proxy.daemon.alone import Alone
from tests.proxy.cli.command import configuration, mailferry, with_accounts


class Place:
    """An installation with two sealed passwords."""

    def __init__(self, root: Path, key: Path | None = None) -> None:
        self.root, self.state = root, root / "state"
        self.key = key or self.state / "sealing.key"
        self.config = configuration(root)
        self.state.mkdir(exist_ok=True)
        sealer = sealer_of(self.key)

        def give(accounts: Accounts) -> None:
            for local in ("li", "wang"):
                accounts.admit(local, "123.com", partial(sealer.seal, f"{local}@123.com", b"secret"))

        with_accounts(root, give)

    @property
    def keys(self) -> list[bytes]:
        return each(self.key.read_bytes())

    def run(self, *arguments: str | Path) -> tuple[int, str, str]:
        done = mailferry(*arguments, "--config", self.config)
        return done.exit_code, done.stdout, done.stderr

    def open_all(self) -> None:
        sealer = sealer_of(self.key)

        def look(accounts: Accounts) -> None:
            for account in accounts.list():
                assert account.sealed_password is not None
                assert sealer.open(account.name, account.sealed_password) == b"secret"

        with_accounts(self.root, look)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    return Place(tmp_path)


def test_another_key(place: Place) -> None:
    (old,) = place.keys
    would = f"{place.key}: would make a new key, and seal 2 passwords anew; nothing was changed\n"
    assert place.run("rotate-key", "--dry-run") == (0, would, "")
    assert place.keys == [old]
    status, said, trouble = place.run("rotate-key")
    (new,) = place.keys
    assert (status, trouble) == (0, "")
    assert said == (
        f"{place.key}: has the new key {named(new)}; 2 passwords sealed anew\n"
        f"the key before, {named(old)}, is out of it\n"
    )
    place.open_all()
    told = json.loads(place.run("rotate-key", "--json")[1])
    assert told == {
        "result": "done",
        "file": str(place.key),
        "key": named(place.keys[0]),
        "passwords": {"first": 2, "others": 0, "lost": 0},
        "rotated": {"key": told["key"], "gone": [named(new)], "sealed": 2, "lost": 0, "resumed": False},
    }


def test_what_was_interrupted_is_gone_on_with(place: Place) -> None:
    with_accounts(place.root, lambda accounts: add_key(accounts._database, KeyFile(place.key)))
    new, old = place.keys
    assert f"would go on to key {named(new)}" in place.run("rotate-key", "--dry-run")[1]
    assert f"went on to key {named(new)}; 2 passwords sealed anew" in place.run("rotate-key")[1]
    assert place.keys == [new]
    assert old not in (place.state / "accounts.db").read_bytes()


def test_what_cannot_be(place: Place, tmp_path: Path) -> None:
    assert "--key-file is for a key that is a credential" in place.run("rotate-key", "--key-file", tmp_path / "x")[2]
    place.key.write_bytes(b"short")
    status, said, trouble = place.run("rotate-key")
    assert (status, said) == (1, "")
    assert "is not 32 octets long, nor several such keys: restore it from a backup" in trouble
    assert place.key.read_bytes() == b"short"
    shutil.rmtree(place.state)
    assert "nothing is sealed" in place.run("rotate-key")[2]


@pytest.fixture
def credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """systemd has given the daemon what is in the store."""
    given, store = tmp_path / "given", tmp_path / "store"
    given.mkdir()
    store.mkdir()
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(places, "OF_THE_SERVICE", given)
    load_key(store / "sealing.key")
    started(tmp_path)
    place = Place(tmp_path, given / "sealing.key")
    text = place.config.read_text()
    place.config.write_text('sealing_key = "{credentials}/sealing.key"\n' + text)
    return place


def started(root: Path) -> None:
    """As systemd does when the service starts."""
    (root / "given" / "sealing.key").unlink(missing_ok=True)
    shutil.copyfile(root / "store" / "sealing.key", root / "given" / "sealing.key")
    (root / "given" / "sealing.key").chmod(0o440)


def test_a_key_that_is_a_credential(credential: Place, tmp_path: Path) -> None:
    made_of = tmp_path / "store" / "sealing.key"
    (old,) = credential.keys
    assert "--key-file /etc/credstore/mailferry.sealing.key" in credential.run("rotate-key")[2]
    daemon = Alone(credential.state)
    try:
        for _ in range(2):  # the daemon was not started again
            status, said, _ = credential.run("rotate-key", "--key-file", made_of)
            new = each(made_of.read_bytes())[0]
            assert (status, each(made_of.read_bytes())) == (0, [new, old])
            assert said.startswith(f"{made_of}: key {named(new)} is in it, and the daemon has not read it yet")
        credential.open_all()
        started(tmp_path)
        assert "2 passwords sealed anew" in credential.run("rotate-key", "--key-file", made_of)[1]
        credential.open_all()
    finally:
        daemon.end()
    assert each(made_of.read_bytes()) == [new]
    started(tmp_path)
    credential.open_all()
    credential.run("rotate-key", "--key-file", made_of)  # while no daemon is there
    started(tmp_path)
    credential.open_all()
    assert not list(credential.state.glob("sealing.key*"))
    told = credential.run("backup", tmp_path / "backups")
    assert "the sealing key is not in it: keep" in told[2]


def test_a_credential_that_is_not_there(credential: Place) -> None:
    credential.key.unlink()
    said = credential.run("check")[1]
    line = next(line for line in said.splitlines() if " key " in line)
    assert line.startswith("warn  key")
    assert f"{credential.key}: a credential of the service, which cannot be looked at from here (it is made of" in line
    text = credential.config.read_text()
    pair = '[tls]\ncertificate = "{credentials}/fullchain.pem"\nkey = "{credentials}/privkey.pem"\n'
    credential.config.write_text(text.replace("[listen]", f"{pair}[listen]"))
    assert credential.run("check")[1].count("warn  certificate    ") == 2
    told = credential.run("rotate-key", "--key-file", "/nonexistent/key")
    assert told == (1, "", "mailferry: /nonexistent/key is not there\n")
    assert not credential.key.exists()


def test_check_and_restore_tell_of_passwords_that_do_not_open(place: Place, tmp_path: Path) -> None:
    assert place.run("backup", tmp_path / "backups")[0] == 0
    kept = place.key.read_bytes()
    place.key.write_bytes(os.urandom(KEY_OCTETS))
    said = place.run("check")[1]
    assert "2 sealed passwords are under a key that is not in the key file (put that key behind" in said
    place.key.unlink()
    said = place.run("check")[1]
    assert "not there yet, will be made" in said
    assert "2 sealed passwords are under a key that is not in the key file" in said
    shutil.rmtree(place.state)
    elsewhere = tmp_path / "sealing.key"
    load_key(elsewhere)
    text = place.config.read_text()
    place.config.write_text(f'sealing_key = "{elsewhere}"\n' + text)
    status, _, trouble = place.run("restore", tmp_path / "backups")
    assert status == 0
    assert f"{elsewhere}: 2 sealed passwords are under a key that is not in the key file" in trouble
    with elsewhere.open("ab") as file:
        file.write(kept)
    assert "private; 2 keys" in place.run("check")[1]


def test_a_backup_has_the_keys_of_its_accounts(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another key comes, and the one before goes, between the copy of the accounts and that of the keys."""
    copy = backup.copy_database

    def and_rotate(source: Path, target: Path, earlier: Path | None = None) -> bool:
        copied = copy(source, target, earlier)
        if source.name == "accounts.db":
            assert place.run("rotate-key")[0] == 0
        return copied

    monkeypatch.setattr(backup, "copy_database", and_rotate)
    assert place.run("backup", tmp_path / "backups")[0] == 0
    monkeypatch.undo()
    shutil.rmtree(place.state)
    assert place.run("restore", tmp_path / "backups")[2] == ""
    place.open_all()
    assert len(place.keys) == 2
