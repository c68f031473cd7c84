"""A list of passwords: what is understood, what is refused with its line, and what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstore.accounts import Accounts, PasswordState, State
from mailstore.database import AccountsDatabase
from mailstore.secrets import KEY_OCTETS, Sealer
from proxy.admin import passwords
from proxy.admin.passwords import BadPasswordFile, Given
from proxy.config import Config, parse

CONFIG = b"""
hostname = "mail.123.com"
[listen]
imap = ["tcp:143"]
[domain."123.com".legacy]
host = "pop.old.123.com"
"""
MORE = b'[domain."456.com".legacy]\nhost = "pop.old.456.com"\n'
SECRET = "s3cret"


@pytest.fixture
def config() -> Config:
    return parse(CONFIG + MORE)


def read(config: Config, directory: Path, data: bytes) -> list[tuple[str, bytes]]:
    path = directory / "list.csv"
    path.write_bytes(data)
    return [(str(one.name), one.password.reveal()) for one in passwords.read(config, path)]


@pytest.mark.parametrize(
    "data",
    [
        b"li@123.com,s3cret\nwang@456.com,other\n",
        b"account,password\r\nLi@123.COM,s3cret\r\n\r\nwang@456.com,other",
        b'\xef\xbb\xbfAccount, Password\n li@123.com ,"s3cret"\nwang@456.com,other\n',
    ],
)
def test_what_spreadsheets_write(config: Config, tmp_path: Path, data: bytes) -> None:
    assert read(config, tmp_path, data) == [("li@123.com", b"s3cret"), ("wang@456.com", b"other")]


def test_passwords_are_taken_as_they_are(config: Config, tmp_path: Path) -> None:
    data = 'a@123.com," spaces "\nb@123.com,"with ""quotes"", and commas"\nc@123.com,密码=1\n'.encode()
    assert [word for _, word in read(config, tmp_path, data)] == [
        b" spaces ",
        b'with "quotes", and commas',
        "密码=1".encode(),
    ]


def test_without_a_domain_where_there_is_one(tmp_path: Path) -> None:
    assert read(parse(CONFIG), tmp_path, b"li,s3cret\n") == [("li@123.com", b"s3cret")]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"li@123.com,s3cret\nwang@124.com,s3cret\n", 'line 2: "124.com" is not served here, did you mean "123.com"?'),
        (b"li,s3cret\n", 'line 1: "li" is no domain that is served here, and an account is written with its domain'),
        (b"li@123.com;s3cret\n", "line 1: has 1 columns; write account,password"),
        (b"li@123.com,s3cret,x\n", "line 1: has 3 columns; write account,password"),
        (b"li@123.com,s3cret\nli@123.com,s3cret\n", "line 2: li@123.com stands in line 1 already"),
        (b"li@123.com,\n", "line 1: the password is empty or too long"),
        (b"li@123.com," + b"s3cret" * 200, "line 1: the password is empty or too long"),
        (b"x@123.com,a\nli@123.com,s3cret\xff\n", "line 2: is not UTF-8 text; save it as CSV UTF-8"),
        (b'li@123.com,"s3cret', "line 1: is not CSV: unexpected end of data"),
    ],
)
def test_a_line_that_cannot_be_is_named_and_its_password_is_not(
    config: Config, tmp_path: Path, data: bytes, said: str
) -> None:
    with pytest.raises(BadPasswordFile) as refused:
        read(config, tmp_path, data)
    assert str(refused.value) == f"{tmp_path}/list.csv: {said}"
    assert SECRET not in str(refused.value)


def test_a_file_that_is_not_there(config: Config, tmp_path: Path) -> None:
    with pytest.raises(BadPasswordFile, match=r"none.csv: cannot be read: No such file"):
        passwords.read(config, tmp_path / "none.csv")


def test_what_is_kept(config: Config, tmp_path: Path) -> None:
    database = AccountsDatabase(tmp_path / "accounts.db")
    accounts, sealer = Accounts(database), Sealer(b"k" * KEY_OCTETS)
    given = passwords.read(config, _list(tmp_path, "new", "known", "lost", "rejected", "final"))
    as_it_was = sealer.seal("known@123.com", b"right")
    accounts.admit("known", "123.com", as_it_was, "hash")
    accounts.admit("lost", "123.com", Sealer(b"o" * KEY_OCTETS).seal("lost@123.com", b"right"), "hash")
    rejected, final = (accounts.admit(local, "123.com", b"sealed", "hash") for local in ("rejected", "final"))
    accounts.password_rejected(rejected.id, "no longer")
    accounts._change(final.id, state=State.FINAL, sealed_password=None)
    passwords.keep(accounts, sealer, given)
    found = {account.local: account for account in accounts.list()}
    assert (found["new"].state, found["new"].password_state) == (State.WAITING, PasswordState.UNTRIED)
    assert sealer.open("new@123.com", found["new"].sealed_password or b"") == b"s3cret"
    assert (found["known"].sealed_password, found["known"].password_state) == (as_it_was, PasswordState.KNOWN)
    assert found["lost"].password_state is PasswordState.UNTRIED  # the key is another one
    assert (found["rejected"].password_hash, found["rejected"].password_state) == ("hash", PasswordState.UNTRIED)
    assert found["final"].sealed_password is None
    assert "s3cret" not in repr(given)
    database.close()


def _list(directory: Path, *names: str) -> Path:
    path = directory / "list.csv"
    path.write_text("".join(f"{name}@123.com,{SECRET}\n" for name in names))
    return path


def test_a_line_does_not_print_its_password() -> None:
    assert Given.__dataclass_fields__["password"].type == "Secret"
