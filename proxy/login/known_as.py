"""Whom a name means that is no account's: an alias, or what the account is called at its legacy server.

A user who changes nothing but the host name goes on logging in as at the legacy server. Where that is not by the
domain's form, an administrator's list says so (`Account.legacy_login`), and the name must lead to the account that has
it: a second account for the same mailbox would come of it otherwise.

Aliases are asked for in the database. Logins are few, in most companies none, and looked for only when a name is
otherwise unknown: they are read together, again after `FRESH` seconds at the earliest, so that a flood of unknown names
reads them no more often.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from mailstore.accounts import Account, Accounts
from proxy.login.asking import ask
from proxy.login.names import Name
from proxy.wire.in_thread import InThread

FRESH: Final = 10.0  # seconds


class KnownAs:
    """For one gate. `clock` has `seconds()`."""

    def __init__(self, accounts: Accounts, served: frozenset[str], clock: Any, in_thread: InThread) -> None:
        self._accounts = accounts
        self._served = served
        self._clock = clock
        self._in_thread = in_thread
        self._ask = partial(ask, accounts, in_thread)
        self._read: float | None = None
        self._logins: dict[str, set[Name]] = {}

    async def account(self, username: bytes, name: Name | None) -> tuple[Name | None, Account | None]:
        """The account that is meant, with its row where that was looked up. `name` is what `username` is by itself,
        None where it cannot be one; it comes back where nobody else is known by it. Raises MailstoreError."""
        if name is not None:
            found = await self._ask(self._accounts.find, name.local, name.domain)
            if found is not None:
                return name, found
            owner = await self._ask(self._accounts.owner, name.local, name.domain)
            if owner is not None and owner[1] in self._served:
                return Name(*owner), None
        return await self._by_login(username, name) or name, None

    async def _by_login(self, username: bytes, name: Name | None) -> Name | None:
        """Only where it is one account's; the domain that was written counts."""
        now = self._clock.seconds()
        if self._read is None or now - self._read >= FRESH:
            self._read = now
            self._logins = {}
            for local, domain, login in await self._in_thread(self._accounts.legacy_logins):
                if domain in self._served:
                    self._logins.setdefault(login.lower(), set()).add(Name(local, domain))
        text = username.decode(errors="replace").strip().lower()
        found = set(self._logins.get(text, ()))
        if name is not None and "@" in text:
            found |= {other for other in self._logins.get(name.local, ()) if other.domain == name.domain}
        return found.pop() if len(found) == 1 else None
