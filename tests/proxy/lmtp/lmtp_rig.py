"""An LMTP server in memory, with real accounts and real mailboxes behind it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstore import schema
from mailstore.accounts import Account, Accounts
from mailstore.database import AccountsDatabase
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from proxy import config
from proxy.lmtp.server import LmtpFactory
from proxy.lmtp.session import Limits
from proxy.login.delivering import Delivering
from proxy.login.furnishing import Furnishing
from proxy.login.homes import Homes
from proxy.wire.door import Home
from proxy.wire.tally import ARRIVALS, Tally
from tests.dialogues.memory import MemoryChannel
from tests.mailstore.store_rig import bodies
from tests.proxy.migration.scripted import direct
from tests.proxy.recording import RecordingLog

NOW = 1_764_193_723.0  # Wed, 26 Nov 2025 21:48:43 UTC
DATE = "Wed, 26 Nov 2025 21:48:43 +0000"
CONFIG = """
hostname = "mail.123.com"
state = "{state}"
[listen]
lmtp = ["unix:{state}/lmtp"]
[domain."123.com"]
accounts = "listed"
[domain."123.com".legacy]
host = "127.0.0.1"
[domain."open.com".legacy]
host = "127.0.0.1"
[domain."邮局.com"]
accounts = "listed"
quota = "1M"
[domain."邮局.com".legacy]
host = "127.0.0.1"
"""
USERS = ("anna@123.com", "bob@123.com", "a+b@123.com", "o'neil@123.com", "用户@邮局.com", "li@open.com")


class Counter(Delivering):
    """Lets a test hold deliveries up."""

    gate: Deferred[None] | None = None

    async def _open(self, account: Account) -> Home:
        if self.gate is not None:
            await self.gate
        return await super()._open(account)


class Desk:
    """Close it."""

    def __init__(self, path: Path, **limits: Any) -> None:
        self.config = config.parse(CONFIG.format(state=path).encode())
        self.database = AccountsDatabase(path / "accounts.db")
        self.accounts = Accounts(self.database, clock=lambda: NOW)
        for name in USERS:
            self.accounts.add(*name.split("@"))
        self.clock, self.log, self.tally = Clock(), RecordingLog(), Tally()
        self.told: list[tuple[int, int]] = []
        self.engine = MailboxEngine()
        self.homes = Homes(self.engine, in_thread=direct, from_thread=lambda call: call(), clock=self.clock)
        self.homes.furnish = Furnishing(self.config, self.accounts.quota)
        self.homes.also_tell = lambda account, folder: self.told.append((account, folder))
        self.counter = Counter(self.config, self.accounts, self.homes, in_thread=direct, log=self.log, tally=self.tally)
        self.factory = LmtpFactory(
            self.counter,
            "mail.123.com",
            replace(Limits(message=200_000), **limits),
            log=self.log,
            tally=self.tally,
            clock=self.clock,
            now=lambda: NOW,
        )
        self.channels: list[MemoryChannel] = []

    def connect(self, *, slow: bool = False) -> MemoryChannel:
        """Greeted, and no more."""
        channel = MemoryChannel(self.factory.buildProtocol(None), self.clock, "127.0.0.9", slow=slow)
        self.channels.append(channel)
        assert channel.read_line() == b"220 mail.123.com LMTP server ready"
        return channel

    def ready(self) -> MemoryChannel:
        channel = self.connect()
        assert ask(channel, b"LHLO mx.123.com")[-1].startswith(b"250 ")
        return channel

    def account(self, name: str) -> Account:
        found = self.accounts.find(*name.split("@"))
        assert found is not None
        return found

    def alias(self, alias: str, name: str) -> None:
        local, domain = alias.split("@")
        values = {"account_id": self.account(name).id, "local": local, "domain": domain}
        with self.database.write() as connection:
            connection.execute(insert(schema.aliases), values)

    def moved(self, *users: str) -> None:
        for name in users or USERS:
            self.accounts.moved(self.account(name).id)

    def home(self, name: str) -> MailHome:
        account = self.account(name)
        return MailHome(self.engine, account.id, self.config.maildir_for(account.local, account.domain))

    def inbox(self, name: str, folder: str = "INBOX") -> list[bytes]:
        """What the user would see."""
        home = self.home(name)
        home.reconcile()
        found = list(bodies(home, folder).values())
        home.close()
        return found

    def arrivals(self) -> dict[tuple[str, str], int]:
        counts = self.tally.counts.items()
        return {(key[1], key[2]): count for key, count in counts if key[0] is ARRIVALS and count}

    def close(self) -> None:
        """Ends everything; then nothing may be left: no connection, no timer, no file."""
        for channel in self.channels:
            channel.hang_up()
        assert not self.factory.connections
        Deferred.fromCoroutine(self.homes.closed())
        assert not [call for call in self.clock.getDelayedCalls() if call.active()]
        self.database.close()


def ask(channel: MemoryChannel, *lines: bytes) -> list[bytes]:
    """Send lines, and give back what is answered."""
    channel.send(b"".join(line + b"\r\n" for line in lines))
    return answers(channel)


def answers(channel: MemoryChannel) -> list[bytes]:
    found = []
    while (line := channel.read_line()) is not None:
        found.append(line)
    return found


def mail(message: bytes, *recipients: str, sender: str = "<x@example.com>") -> bytes:
    """A whole transaction; `message` is stuffed here."""
    to = b"".join(f"RCPT TO:<{each}>\r\n".encode() for each in recipients)
    stuffed = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]
    if not stuffed.endswith(b"\r\n") and stuffed:
        stuffed += b"\r\n"
    return f"MAIL FROM:{sender}\r\n".encode() + to + b"DATA\r\n" + stuffed + b".\r\n"
