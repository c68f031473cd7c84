"""One account, everything that a login goes through but the protocol, and a legacy server with faults, in memory.

    with Rig(server, fault_of=lambda number: fault if number == 1 else None) as rig:
        rig.login()                      # what a client is told: None when it is let in
        rig.inbox()                      # what it finds then

`fault_of` gives the fault of each connection to the legacy server, by its number.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from twisted.internet import error as net
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstore import secrets
from mailstore.accounts import Account, Accounts
from mailstore.database import AccountsDatabase
from mailstore.entries import Entry
from mailstore.index.folders import INBOX_ID
from mailstore.mailbox_database import MailboxEngine
from mailstore.mailhome import MailHome
from mailstore.secrets import Sealer
from proxy import config
from proxy.legacy import dialling
from proxy.login.gate import LoginGate
from proxy.login.homes import Homes
from proxy.login.legacy import LegacyDoor
from proxy.login.mover import Mover
from proxy.migration import plan
from proxy.wire.door import Credentials, Hold, Home, LoginRefused, Refusal, Secret
from tests.faults.injecting import Fault, Injector, Kind
from tests.faults.network import End, Network
from tests.legacy.server import LegacyServer
from tests.memory import in_memory
from tests.proxy.login.login_rig import CHEAP, PASSWORD
from tests.proxy.migration.scripted import direct
from tests.proxy.recording import RecordingLog

CONFIG = """
hostname = "mail.123.com"
state = "{state}"
workers = 1
[listen]
imap = ["tcp:143"]
[migration]
hold_limit = "1d"
refresh = "0s"
login = "{login}"
[domain."123.com".legacy]
host = "localhost"
tls = "{tls}"
{more}
"""


class Ground:
    """A state directory and the engines over it, which many cases may share: each has an account of its own."""

    def __init__(self, directory: Path | None = None) -> None:
        self._stack = contextlib.ExitStack()
        self.state = directory or Path(self._stack.enter_context(tempfile.TemporaryDirectory(dir=in_memory())))
        self.database = AccountsDatabase(self.state / "accounts.db")
        self._stack.callback(self.database.close)
        self.engine = MailboxEngine()
        self._users = 0

    def user(self) -> str:
        self._users += 1
        return f"user{self._users}"

    def close(self) -> None:
        self._stack.close()


@dataclass(frozen=True, slots=True)
class Kept:
    """A message as it is here."""

    uid: int
    uidl: str
    data: bytes


class _Joined:
    """The server's protocol on the transport that the injector stands before."""

    def __init__(self, rig: Rig, number: int) -> None:
        self._rig = rig
        self._number = number
        self._protocol: Any = None

    def makeConnection(self, end: End) -> None:
        rig = self._rig
        injector = Injector(end, rig.fault_of(self._number), rig.server.commands)
        rig.injectors.append(injector)
        self._protocol = end.protocol = rig.server.buildProtocol(None)
        if rig.tls == "implicit":
            injector.startTLS(rig.server.behaviour.tls)
        self._protocol.makeConnection(injector)


class Rig:
    """See above. Use as a context."""

    def __init__(
        self,
        server: LegacyServer,
        fault_of: Callable[[int], Fault | None] = lambda _number: None,
        *,
        tls: str = "none",
        login: str = "hold",
        more: str = "",
        in_thread: Any = direct,
        ground: Ground | None = None,
    ) -> None:
        self.server = server
        self.tls = tls
        self.fault_of = fault_of
        self.injectors: list[Injector] = []
        self.log = RecordingLog()
        self._stack = contextlib.ExitStack()
        self._patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        self._patch.setattr(secrets, "_hasher", CHEAP)
        self.network = Network(lambda number: _Joined(self, number))  # type: ignore[arg-type, return-value]
        self.network.refuse = self._refusal
        self._patch.setattr(dialling, "HostnameEndpoint", self.network.endpoint)
        if ground is None:
            ground = Ground()
            self._stack.callback(ground.close)
        self.user = ground.user()
        self.config = config.parse(CONFIG.format(state=ground.state, tls=tls, login=login, more=more).encode())
        assert self.config.accounts_file == ground.state / "accounts.db"
        self._homes: list[Home] = []
        self.accounts = Accounts(ground.database)
        sealer = Sealer(b"k" * secrets.KEY_OCTETS)
        self.homes = Homes(ground.engine, in_thread=in_thread, from_thread=lambda call: call())
        door = LegacyDoor(self.config, self.network.clock, self.log.warning)
        shared: dict[str, Any] = {"reactor": self.network.clock, "in_thread": in_thread, "log": self.log}
        self.mover = Mover(self.config, self.accounts, sealer, self.homes, door, **shared)
        self.gate = LoginGate(self.config, self.accounts, sealer, self.homes, door, self.mover, **shared)

    def _refusal(self, number: int) -> Exception | None:
        fault = self.fault_of(number)
        if fault is None or fault.step != "connect":
            return None
        return {
            Kind.RESET: net.ConnectionRefusedError(),
            Kind.SILENCE: net.TimeoutError(),
            Kind.EOF: net.NoRouteError(),
            Kind.GARBAGE: net.DNSLookupError(),
        }[fault.kind]

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            for home in self._homes:
                home.close()
            self.wait_for(Deferred.fromCoroutine(self.mover.stop()))
            self.network.deliver()

    # What a user does

    def login(self, password: bytes = PASSWORD) -> Refusal | None:
        """Log in over IMAP, as long as it takes; what the client is told."""
        credentials = Credentials(self.user.encode(), Secret(password), "imap", "192.0.2.1")
        try:
            self._homes.append(self.wait_for(Deferred.fromCoroutine(self.gate.login(credentials, Hold()))))
        except LoginRefused as refused:
            return refused.refusal
        return None

    def wait_for(self, deferred: Deferred[Any]) -> Any:
        results: list[Any] = []
        deferred.addBoth(results.append)
        self.network.until(lambda: bool(results))
        if isinstance(results[0], Failure):
            results[0].raiseException()
        return results[0]

    def settle(self) -> None:
        """Whatever goes on by itself (a look for what is new, a QUIT) goes to its end."""
        self.network.until(lambda: not self.mover._refreshing and not self.server.open)

    def forget_pauses(self) -> None:
        """As much time goes by as lies between two looks for what could not be had."""
        self._patch.setattr(plan, "AGAIN", -1)
        self.network.clock.advance(3600.0)
        self.network.deliver()

    # What is here then

    def account(self) -> Account:
        found = self.accounts.find(self.user, "123.com")
        assert found is not None
        return found

    def inbox(self) -> list[Kept]:
        def read(mail: MailHome) -> Iterator[Kept]:
            for row in mail.maildrop():
                with mail.open(INBOX_ID, row.uid) as content:
                    yield Kept(row.uid, row.uidl, bytes(content.whole()))

        found: list[Kept] = self.on_home(lambda mail: list(read(mail)))
        return found

    def ledger(self) -> list[Entry]:
        found: list[Entry] = self.on_home(lambda mail: mail.ledger.entries())
        return found

    def on_home(self, operation: Callable[[MailHome], Any]) -> Any:
        account = self.account()
        maildir = self.config.maildir_for(account.local, account.domain)
        home = self.wait_for(Deferred.fromCoroutine(self.homes.open(account.id, account.name, maildir)))
        try:
            return self.wait_for(Deferred.fromCoroutine(home.run(operation)))
        finally:
            home.close()

    def files(self, directory: str) -> list[str]:
        account = self.account()
        return sorted(p.name for p in (self.config.maildir_for(account.local, account.domain) / directory).iterdir())

    def warnings(self) -> list[tuple[str, dict[str, Any]]]:
        return [(event, fields) for level, event, fields in self.log.lines if level in {"warning", "error"}]
