"""An account that was carried over from a scripted legacy server, and what verify finds of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from mailstore import secrets
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.secrets import Sealer
from proxy import config
from proxy.admin.verify import asking
from proxy.admin.verify.account import Progress, Surroundings
from proxy.admin.verify.kinds import Finding, Kind
from proxy.admin.verify.outcome import AccountOutcome
from proxy.admin.verify.passwords import Passwords
from proxy.admin.verify.run import Run
from proxy.admin.verify.sample import How
from proxy.login.legacy import LegacyDoor
from proxy.wire.door import Secret
from tests.legacy.server import LegacyServer
from tests.proxy.login.login_rig import CONFIG
from tests.proxy.login.test_login_end_to_end import EndToEnd

reactor: Any = _reactor

FULL = How("full")


class Told:
    """Hears how far it is."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.outcomes: list[AccountOutcome] = []

    def began(self, account: str) -> None:
        self.steps.append(account)

    def progress(self, _account: str, progress: Progress) -> None:
        if self.steps[-1] != progress.step:
            self.steps.append(progress.step)

    def ended(self, outcome: AccountOutcome) -> None:
        self.outcomes.append(outcome)


class VerifyCase(EndToEnd):
    """`carried`, then damage of any kind, then `verified`."""

    server: LegacyServer | None
    connections = 5

    def setUp(self) -> None:
        super().setUp()
        self.patch(asking, "PAUSES", (0.0, 0.0, 0.0))
        self.told = Told()

    @property
    def legacy(self) -> LegacyServer:
        assert self.server is not None
        return self.server

    @property
    def maildir(self) -> Path:
        return self.settings.maildir_for("user", "123.com")

    @property
    def settings(self) -> config.Config:
        text = CONFIG.format(state=self.state, accounts="open", port=self.legacy.port, connections=self.connections)
        return config.parse(text.encode())

    async def carried(self, messages: list[bytes], **behaviour: Any) -> LegacyServer:
        """A first login, and nobody here any more."""
        server = await self.serve(messages, **behaviour)
        home = await self.admitted()
        await self.settled()
        home.close()
        await self.homes.closed()
        server.commands.clear()
        return server

    async def verified(
        self, how: How = FULL, *, given: dict[str, Secret] | None = None, daemon: bool = False
    ) -> AccountOutcome:
        """What is found. Nothing of the account's directory is another than before, and nothing was deleted there."""
        settings = self.settings
        around = Surroundings(how, LegacyDoor(settings, reactor), reactor, deferToThread, daemon)
        passwords = Passwords(given or {}, Sealer(b"k" * secrets.KEY_OCTETS))
        account = self.accounts.find("user", "123.com")
        assert account is not None
        before = self.files()
        run = Run(settings, passwords, around, self.told, connections={"123.com": self.connections})
        (outcome,) = await run.run([account])
        self.assertEqual(self.files(), before)
        self.assertEqual(self.legacy.deletions, 0)
        await self.until(lambda: not self.legacy.open)
        return outcome

    def files(self) -> dict[str, tuple[int, int, int]]:
        """All there is of the account: inode, size and time of each file; but for the memory that SQLite shares among
        those who have a database with a log open."""
        found = {}
        for path in sorted(self.maildir.parent.rglob("*")):
            about = path.lstat()
            if not path.name.endswith("-shm"):
                found[str(path)] = (about.st_ino, about.st_size, about.st_mtime_ns)
        return found

    # Damage

    def sql(self, *statements: str) -> None:
        """Somebody at the index."""
        with closing(sqlite3.connect(self.maildir.with_name("Maildir.db"))) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def ask(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.maildir.with_name("Maildir.db"))) as connection:
            return connection.execute(query).fetchall()

    def file_of(self, uid: int) -> Path:
        ((unique,),) = self.ask(f"SELECT file FROM messages WHERE folder_id = 1 AND uid = {uid}")
        (path,) = (self.maildir / "cur").glob(f"{unique}*")
        return path

    def at_home(self, operation: Callable[[MailHome], object]) -> None:
        """The user, in a session of the daemon's."""
        account = self.accounts.find("user", "123.com")
        assert account is not None
        home = MailHome(MailboxEngine(), account.id, self.maildir)
        try:
            operation(home)
        finally:
            home.close()

    # What was found

    def kinds(self, outcome: AccountOutcome) -> dict[Kind, int]:
        return dict(outcome.counts)

    def only(self, outcome: AccountOutcome, kind: Kind) -> Finding:
        """The one finding that there is."""
        self.assertEqual([finding.kind for finding in outcome.findings], [kind], outcome.findings)
        return outcome.findings[0]

    def run_async(self, test: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(test)
