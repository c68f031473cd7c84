"""Which password a legacy server is to be asked with: the one that the administrator gives, else the sealed one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from mailstore.accounts import Account, PasswordState, State
from mailstore.errors import SecretUnreadable
from mailstore.secrets import Sealer
from proxy.wire.door import Secret

_LINE = re.compile(r"\s*([^\s@]+@[^\s@:]+):(.*)")


class BadPasswordFile(Exception):
    """The text says what is wrong, and quotes nothing of the file."""


class Passwords:
    """`given` are by account name; `sealer` is None where there is no key yet. `paused`: does an administrator want the
    legacy server left alone for this account?"""

    def __init__(
        self,
        given: Mapping[str, Secret],
        sealer: Sealer | None,
        paused: Callable[[Account], bool] = lambda account: account.paused,
    ) -> None:
        self._given = given
        self._sealer = sealer
        self._paused = paused

    def of(self, account: Account) -> Secret | str:
        """The password, or why there is none, or why the legacy server is not to be asked."""
        if self._paused(account):
            return "it is paused, so the legacy server is not asked; `mailferry resume` ends that"
        given = self._given.get(account.name)
        if given is not None:
            return given
        if account.state is State.FINAL:
            return "the account is final: the legacy server is no longer asked, and its sealed password is wiped"
        if account.sealed_password is None or self._sealer is None:
            return "its password is not known here"
        if account.password_state is PasswordState.REJECTED:  # once more would count as a guess there (invariant 10)
            return account.reason or "the legacy server no longer takes the password"
        try:
            return Secret(self._sealer.open(account.name, account.sealed_password))
        except SecretUnreadable as error:
            return str(error)


def parse(text: str, source: str) -> dict[str, Secret]:
    """A file of lines `user@123.com:password`; empty ones, and those that begin with "#", are passed over. Raises
    BadPasswordFile."""
    given: dict[str, Secret] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None or not found[2]:
            raise BadPasswordFile(f"{source}: line {number} is not user@domain:password")
        given[found[1].lower()] = Secret(found[2].encode())
    return given


def read(name: str) -> dict[str, Secret]:
    """The same from a file that nobody else may read. Raises BadPasswordFile."""
    try:
        path = Path(name)
        if path.stat().st_mode & 0o077:
            raise BadPasswordFile(f"{name} may be read by others: give it mode 0600")
        return parse(path.read_text(encoding="utf-8"), name)
    except UnicodeDecodeError:
        raise BadPasswordFile(f"{name} is not UTF-8 text") from None
    except OSError as error:
        raise BadPasswordFile(f"{name}: {error.strerror}") from None
