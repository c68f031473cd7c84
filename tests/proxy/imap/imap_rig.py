"""A server in memory for tests that look behind a dialogue: its factory, its clock, its log, its transports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.task import Clock

from proxy.imap.server import ImapFactory
from proxy.wire.door import Limits, Terms
from proxy.wire.trusted import Trusted
from tests.dialogues import fixtures
from tests.dialogues.gate import Announced, ScriptedGate
from tests.dialogues.memory import MemoryChannel
from tests.proxy.recording import RecordingLog


class Rig:
    """One factory on one mailbox, and the clients that connect to it."""

    def __init__(self, path: Path, setup: str = "letters", trusted: tuple[str, ...] = (), **limits: Any) -> None:
        self.clock = Clock()
        self.log = RecordingLog()
        announced = Announced()
        self.mail = fixtures.open_home(path, setup, announced)
        announced.clear()
        self.gate = ScriptedGate(self.mail, self.clock, announced)
        terms = Terms(hostname="mail.123.com", tls=object(), limits=Limits(**limits), trusted=Trusted(trusted))
        self.factory = ImapFactory(self.gate, terms, self.log, self.clock)

    def connect(self, *, slow: bool = False) -> MemoryChannel:
        """A client, after the greeting."""
        channel = MemoryChannel(self.factory.buildProtocol(None), self.clock, slow=slow)
        greeting = channel.read_line()
        assert greeting is not None
        return channel

    def logged_in(self, *, slow: bool = False, select: bool = False) -> MemoryChannel:
        channel = self.connect(slow=slow)
        channel.send(b"in LOGIN user@123.com pass\r\n")
        assert lines(channel)[-1].startswith(b"in OK")
        if select:
            channel.send(b"se SELECT INBOX\r\n")
            assert lines(channel)[-1].startswith(b"se OK")
        return channel

    def close(self) -> None:
        self.mail.close()


def lines(channel: MemoryChannel) -> list[bytes]:
    """What the server has said since the last look."""
    found = []
    while (line := channel.read_line()) is not None:
        found.append(line)
    return found
