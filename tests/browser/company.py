"""A company on the day of its move: an old server, and mailferry with portal and console in front of it.

One for many tests: each takes a user of its own, whom `hire` makes at the old server.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from mailstore.accounts import Account, Accounts, State
from mailstore.database import AccountsDatabase
from tests.browser.old_server import OldServer, letters
from tests.legacy.dovecot import free_port
from tests.peers.daemon import Daemon

NOBODY = 'resolvers = ["127.0.0.1:9"]'  # whatever a page has the daemon look up, this machine's own are not asked
PASSWORD = "An old password, 密码 & <b>"


class Company:
    """`start` it; `close` it at the end."""

    def __init__(
        self,
        root: Path,
        *,
        encrypted: bool = True,
        migration: str = "",
        own_console: bool = False,
        workers: int = 1,
        notices: str = "",
        settings: str = NOBODY,
        hostname: str = "localhost",
        program: tuple[str, ...] = ("proxy.cli.main",),
        legacy: str = "",
    ) -> None:
        """`notices` are lines of [notices]; `settings` stand before all tables; `program` is what runs the daemon;
        `legacy` are lines of the old server's table, where that is another than ours."""
        self.old = OldServer({})
        listeners = ("imap", "imaps", "pop3", "pop3s", "web") if encrypted else ("imap", "web")
        if own_console:
            listeners += ("console",)
        self.daemon = Daemon(
            root,
            legacy=legacy or f'port = {self.old.port}\ntls = "none"',
            migration=migration,
            ports={name: free_port() for name in listeners},
            workers=workers,
            more=f'submission = "{hostname}:587"\n{settings}' + (f"\n[notices]\n{notices}" if notices else ""),
            domain='contact = "the help desk, telephone 8001"',
            encrypted=encrypted,
            hostname=hostname,
            program=program,
        )
        self._numbers = count(1)

    def start(self) -> Company:
        self.daemon.start()
        return self

    def close(self) -> None:
        self.old.recover()
        self.daemon.stop()
        self.old.close()

    @property
    def port(self) -> int:
        return self.daemon.ports["web"]

    @property
    def address(self) -> str:
        return f"{'https' if self.daemon.encrypted else 'http'}://localhost:{self.port}"

    def hire(self, messages: int | Sequence[bytes] = 3, password: str = PASSWORD) -> str:
        """A user at the old server, whom nobody knows here yet; gives back the address."""
        user = f"user{next(self._numbers)}"
        self.old.mailboxes[user] = password, letters(messages) if isinstance(messages, int) else messages
        return f"{user}@123.com"

    def accounts(self) -> AccountsDatabase:
        """The daemon's database, opened beside it; to be closed."""
        return AccountsDatabase(self.daemon.root / "state" / "accounts.db")

    def account(self, address: str) -> Account | None:
        """What is known of somebody here."""
        database = self.accounts()
        try:
            return Accounts(database).find(*address.split("@"))
        finally:
            database.close()

    def make(self, address: str, state: State, password_hash: str | None = None, reason: str = "") -> Account:
        """Somebody here, without a login."""
        from sqlalchemy import update

        from mailstore.schema import accounts

        database = self.accounts()
        try:
            account = Accounts(database).add(*address.split("@"))
            with database.write() as connection:
                connection.execute(
                    update(accounts)
                    .where(accounts.c.id == account.id)
                    .values(state=state, password_hash=password_hash, sealed_password=None, reason=reason)
                )
            return Accounts(database).get(account.id)
        finally:
            database.close()
