"""Passwords that an administrator has: one for an account, or a CSV file of account and password, a line each.

They are sealed as those of users are, and tried once, with the account's next move; of a final account they are what
counts here from then on. Nothing here ever says a password.
"""

from __future__ import annotations

import csv
import enum
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from mailstore.accounts import Account, Accounts, PasswordState, State
from mailstore.errors import SecretUnreadable
from mailstore.secrets import Sealer, hash_password
from proxy.admin.chosen import NotServed, account_name
from proxy.config import Config
from proxy.login.names import Name
from proxy.wire.door import Secret

LARGEST: Final = 64 * 1024 * 1024  # octets of a file
LONGEST: Final = 1_000  # characters of a password
SHORTEST: Final = 10  # characters of one that is made here; one of the old server's may be what it is


class BadPasswordFile(Exception):
    """It cannot be used. The text is for the administrator, with the line's number."""


class NotSet(enum.StrEnum):
    """Why a password was not set."""

    KNOWN = "known"  # the old server takes the one that is here
    EMPTY = "empty"
    SHORT = "short"
    LONG = "long"


class CannotSet(Exception):
    """A password that was not set; nothing has changed."""

    def __init__(self, why: NotSet) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Given:
    """One line."""

    name: Name
    password: Secret


def read(config: Config, path: Path) -> list[Given]:
    """The whole file, checked before anything is done with it. Raises BadPasswordFile."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise BadPasswordFile(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise BadPasswordFile(f"{path}: is over 64 MiB: this is no list of passwords")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadPasswordFile(f"{path}: line {line}: is not UTF-8 text; save it as CSV UTF-8") from None
    return list(_lines(config, path, text))


def _lines(config: Config, path: Path, text: str) -> Iterator[Given]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    seen: dict[Name, int] = {}
    try:
        for row in rows:
            place = f"{path}: line {rows.line_num}"
            if not any(row) or (
                rows.line_num == 1 and [cell.strip().lower() for cell in row] == ["account", "password"]
            ):
                continue
            if len(row) != 2:
                raise BadPasswordFile(f"{place}: has {len(row)} columns; write account,password")
            try:
                name = account_name(config, row[0].strip())
            except NotServed as error:
                raise BadPasswordFile(f"{place}: {error}") from None
            if name in seen:
                raise BadPasswordFile(f"{place}: {name} stands in line {seen[name]} already")
            seen[name] = rows.line_num
            if not 0 < len(row[1]) <= LONGEST:
                raise BadPasswordFile(f"{place}: the password is empty or too long")
            yield Given(name, Secret(row[1].encode()))
    except csv.Error as error:
        raise BadPasswordFile(f"{path}: line {rows.line_num}: is not CSV: {error}") from None


def keep(accounts: Accounts, sealer: Sealer, given: list[Given]) -> None:
    """Seal those that are needed, and make the accounts that are not there. A password that the legacy server has
    taken already is not replaced; nor is anything kept for an account that is final."""
    for one in given:
        account = accounts.find(one.name.local, one.name.domain) or accounts.add(one.name.local, one.name.domain)
        if not known(account, sealer) and account.state is not State.FINAL:
            accounts.password_given(account.id, partial(sealer.seal, account.name, one.password.reveal()))


def known(account: Account, sealer: Sealer) -> bool:
    """Is a password here that the legacy server has taken, and that opens? After the loss of the key file none does."""
    if account.sealed_password is None or account.password_state is not PasswordState.KNOWN:
        return False
    try:
        sealer.open(account.name, account.sealed_password)
    except SecretUnreadable:
        return False
    return True


def may_be_given(account: Account, sealer: Sealer) -> bool:
    """Would a password be of use? Not one beside that which the old server takes: a guess would count there."""
    return account.state is State.FINAL or not known(account, sealer)


def give(accounts: Accounts, sealer: Sealer, account: Account, password: Secret) -> None:
    """Set one account's password: a final account's here, any other's as the one at the legacy server, to be tried with
    its next move. Raises CannotSet, MailstoreError."""
    _check(account, sealer, password)
    if account.state is State.FINAL:
        accounts.password_hashed(account.id, hash_password(password.reveal()))
    else:
        accounts.password_given(account.id, partial(sealer.seal, account.name, password.reveal()))


def _check(account: Account, sealer: Sealer, password: Secret) -> None:
    length = len(password.reveal().decode(errors="replace"))
    if not length:
        raise CannotSet(NotSet.EMPTY)
    if length > LONGEST:
        raise CannotSet(NotSet.LONG)
    if account.state is State.FINAL and length < SHORTEST:
        raise CannotSet(NotSet.SHORT)
    if not may_be_given(account, sealer):
        raise CannotSet(NotSet.KNOWN)
