"""A POP3 server in memory with the real store, for tests that need more than a dialogue can say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import structlog
from structlog.testing import LogCapture
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mailstore.mailhome import MailHome
from proxy.pop3.server import Pop3Factory
from proxy.wire.door import Credentials, Hold, Limits, Terms
from tests.dialogues import fixtures
from tests.dialogues.gate import Announced, ScriptedGate, ScriptedHome
from tests.dialogues.memory import MemoryChannel

T = TypeVar("T")
LOGIN = b"USER user@123.com\r\nPASS pass\r\n"


class DeskHome(ScriptedHome):
    """Counts hops; lets a test hold operations up, and make them fail."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.gate)
        self._desk = desk

    async def run(self, operation: Callable[[MailHome], T]) -> T:
        self._desk.hops += 1
        if self._desk.slow_store:
            waiting: Deferred[None] = Deferred()
            self._desk.operations.append(waiting)
            await waiting
        if self._desk.store_fault is not None:
            raise self._desk.store_fault
        return await super().run(operation)


class DeskGate(ScriptedGate):
    desk: Desk

    async def login(self, credentials: Credentials, hold: Hold) -> DeskHome:
        if self.desk.gate_fault is not None:
            raise self.desk.gate_fault
        (await super().login(credentials, hold)).close()
        home = DeskHome(self.desk)
        self.homes.append(home)
        return home


class Desk:
    """Close it."""

    def __init__(self, path: Path, setup: str = "letters", **limits: Any) -> None:
        self.hops = 0
        self.slow_store = False
        self.operations: list[Deferred[None]] = []
        self.store_fault: Exception | None = None
        self.gate_fault: Exception | None = None
        self.clock = Clock()
        announced = Announced()
        self.mail = fixtures.open_home(path, setup, announced)
        announced.clear()
        self.gate = DeskGate(self.mail, self.clock, announced)
        self.gate.desk = self
        self.log = LogCapture()
        wrapped = structlog.wrap_logger(
            None, processors=[self.log], wrapper_class=structlog.make_filtering_bound_logger(0)
        )
        terms = Terms("mail.123.com", tls=object(), limits=replace(Limits(), **limits))
        self.factory = Pop3Factory(self.gate, terms, wrapped, self.clock)
        self._channels: list[MemoryChannel] = []

    def connect(self, *, slow: bool = False, address: str = "127.0.0.1") -> MemoryChannel:
        protocol = self.factory.buildProtocol(None)
        assert protocol is not None
        channel = MemoryChannel(protocol, self.clock, address, slow=slow)
        assert channel.read_line() == b"+OK mail.123.com POP3 server ready"
        self._channels.append(channel)
        return channel

    def logged_in(self, *, slow: bool = False) -> MemoryChannel:
        channel = self.connect(slow=slow)
        channel.send(LOGIN)
        assert channel.read_line() == b"+OK"
        line = channel.read_line()
        assert line is not None
        assert line.startswith(b"+OK ")
        return channel

    def step(self) -> None:
        """Let the oldest operation of the store go on."""
        self.operations.pop(0).callback(None)
        for channel in self._channels:
            channel.settle()

    def advance(self, seconds: float, step: float = 0.5) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            for channel in self._channels:
                channel.settle()

    def events(self) -> list[str]:
        return [entry["event"] for entry in self.log.entries]

    def close(self) -> None:
        """Ends everything; then nothing may be left: no home, no timer, no password in the log."""
        for channel in self._channels:
            channel.hang_up()
        while self.operations:
            self.step()
        self.mail.close()
        assert all(home.closed for home in self.gate.homes)
        assert not [call for call in self.clock.getDelayedCalls() if call.active()]
        assert not self.factory.connections
        assert "pass'" not in repr(self.log.entries)
