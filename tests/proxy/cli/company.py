"""A small company for tests of commands: an old server in this process, and `mailferry` in others."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from mailstore.accounts import Account, Accounts
from mailstore.database import AccountsDatabase
from tests.legacy.server import Behaviour, LegacyServer
from tests.proxy.migration.scripted import folder

reactor: Any = _reactor
ROOT = Path(__file__).parents[3]
PASSWORD = b"correct horse"

CONFIG = """
hostname = "mail.123.com"
state = "{state}"
workers = 1
[listen]
imap = ["unix:{state}.imap"]
[domain."123.com".legacy]
host = "127.0.0.1"
port = {port}
tls = "none"
connections = 3
[domain."456.com".legacy]
host = "127.0.0.1"
port = {port}
tls = "none"
"""


@dataclass
class Ran:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


class Command(ProcessProtocol):
    """One `mailferry` that runs."""

    def __init__(self) -> None:
        self.out = self.err = b""
        self.ended: Deferred[Ran] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.out += data

    def errReceived(self, data: bytes) -> None:
        self.err += data

    def processEnded(self, reason: Failure) -> None:
        status = getattr(reason.value, "exitCode", None)
        self.ended.callback(Ran(-1 if status is None else status, self.out.decode(), self.err.decode()))

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.transport.signalProcess("INT")

    def kill(self) -> None:
        if not self.ended.called:
            self.transport.signalProcess(signal.SIGKILL)


class CompanyTestCase(TestCase):
    timeout = 90

    def setUp(self) -> None:
        self.directory = folder(self)
        self.state = self.directory / "state"
        self.running: list[Command] = []

    async def tearDown(self) -> None:
        for command in self.running:
            command.kill()
            await command.ended

    def serve_old_mail(self, mailboxes: dict[str, list[bytes]], **behaviour: Any) -> LegacyServer:
        boxes = {name.encode(): box for name, box in mailboxes.items()}
        server = LegacyServer([], Behaviour(password=PASSWORD, **behaviour), mailboxes=boxes)
        port = server.listen(reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.close()))
        self.configuration = self.directory / "mailferry.toml"
        self.configuration.write_text(CONFIG.format(state=self.state, port=port))
        return server

    def begin(self, *arguments: str) -> Command:
        command = Command()
        self.running.append(command)
        line = [sys.executable, "-m", "proxy.cli.main", *arguments, "--config", str(self.configuration)]
        reactor.spawnProcess(command, sys.executable, line, env=None, path=str(ROOT))
        return command

    def mailferry(self, *arguments: str) -> Deferred[Ran]:
        ended: Deferred[Ran] = Deferred()
        self.begin(*arguments).ended.addCallback(lambda ran: ended.callback(ran) or ran)
        return ended

    async def daemon(self) -> Command:
        daemon = self.begin("serve")
        await self.until(lambda: b"listening" in daemon.err)
        return daemon

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            await deferLater(reactor, 0.02)

    def passwords(self, *lines: str) -> str:
        """A file of them."""
        path = self.directory / "passwords.csv"
        path.write_text("account,password\n" + "".join(line + "\n" for line in lines))
        path.chmod(0o600)
        return str(path)

    def accounts(self) -> dict[str, Account]:
        database = AccountsDatabase(self.state / "accounts.db")
        try:
            return {account.name: account for account in Accounts(database).list()}
        finally:
            database.close()
