"""Where a program is played: what it needs of the world, as Protocols, and the world in memory."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import structlog
from structlog.testing import LogCapture
from twisted.internet.task import Clock

from mailstore.errors import NoSuchFolder
from mailstore.maildir import folder_directory
from mailstore.mailhome import MailHome
from proxy.imap.server import ImapFactory
from proxy.pop3.server import Pop3Factory
from proxy.wire.door import Limits, Terms
from tests.dialogues import fixtures
from tests.dialogues.gate import Announced, ScriptedGate
from tests.dialogues.memory import MemoryChannel
from tests.sessions.hearing import take

DATE = 1_700_000_000


class Wire(Protocol):
    """The client's end of one connection."""

    def send(self, data: bytes) -> None: ...

    def response(self) -> bytes:
        """The next one, which has to come: in memory at once, elsewhere within a bound."""

    def pending(self, patience: float = 0) -> bytes | None:
        """The next one, if it is there within so many seconds; nothing is waited for in memory."""

    def line(self) -> bytes:
        """A line of POP3, which has to come."""

    def hang_up(self) -> None: ...


class Stage(Protocol):
    """One account at one server."""

    prompt: bool  # is what one session does known to all others at once?

    def connect(self, protocol: str, *, bytewise: bool = False) -> Wire:
        """Logged in by nobody, the greeting not read."""

    def credentials(self) -> tuple[bytes, bytes]: ...

    def directory(self, folder: str) -> Path:
        """A folder's directory in the Maildir."""

    def deliver(self, folder: str, body: bytes, flags: Iterable[str]) -> None:
        """As the daemon delivers."""

    def look(self, folder: str) -> None:
        """Have the server look for what other programs did to a folder."""

    def restart(self) -> None: ...


class MemoryWire:
    """A `Wire` to a protocol in memory."""

    def __init__(self, channel: MemoryChannel, *, bytewise: bool) -> None:
        self._channel = channel
        self._bytewise = bytewise

    def send(self, data: bytes) -> None:
        assert not self._channel.server_has_closed(), "the server closed the connection"
        self._channel.send(data, bytewise=self._bytewise)

    def response(self) -> bytes:
        found = self.pending()
        assert found is not None, f"no answer; there is {self._channel.leftover()!r}"
        return found

    def pending(self, patience: float = 0) -> bytes | None:
        self._channel.settle()
        return take(self._channel.transport.out)

    def line(self) -> bytes:
        found = self._channel.read_line()
        assert found is not None, "no answer"
        return found

    def hang_up(self) -> None:
        self._channel.hang_up()


class MemoryStage:
    """Real protocols and a real store on disk, without a reactor; operations run where they stand."""

    prompt = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._clock = Clock()
        self._lines = LogCapture()
        level = structlog.make_filtering_bound_logger(0)
        self._log = structlog.wrap_logger(None, processors=[self._lines], wrapper_class=level)
        self._open()

    def _open(self) -> None:
        announced = Announced()
        self.mail: MailHome = fixtures.open_home(self._path, announce=announced)
        announced.clear()
        self._gate = ScriptedGate(self.mail, self._clock, announced)
        terms = Terms(hostname="mail.123.com", tls=None, limits=Limits())
        self._factories = {
            "imap": ImapFactory(self._gate, terms, self._log, self._clock),
            "pop3": Pop3Factory(self._gate, terms, self._log, self._clock),
        }
        self._channels: list[MemoryChannel] = []

    def connect(self, protocol: str, *, bytewise: bool = False) -> MemoryWire:
        channel = MemoryChannel(self._factories[protocol].buildProtocol(None), self._clock)
        self._channels.append(channel)
        return MemoryWire(channel, bytewise=bytewise)

    def credentials(self) -> tuple[bytes, bytes]:
        return b"user@123.com", b"pass"

    def directory(self, folder: str) -> Path:
        name = folder_directory(folder)
        return self._path / "Maildir" / name if name else self._path / "Maildir"

    def deliver(self, folder: str, body: bytes, flags: Iterable[str]) -> None:
        self.mail.append(folder, io.BytesIO(body), flags, DATE)
        self._gate.pass_on_changes()
        self._clock.advance(0)

    def look(self, folder: str) -> None:
        with suppress(NoSuchFolder):
            self.mail.status(folder, looking=True)

    def restart(self) -> None:
        self._hang_up()
        self.mail.close()
        self._open()

    def close(self) -> None:
        """Also: nobody logged a fault, and no session left its home open."""
        self._hang_up()
        self.mail.close()
        assert all(home.closed for home in self._gate.homes)
        faults = [line for line in self._lines.entries if {"where", "exception", "exc_info"} & line.keys()]
        assert not faults, faults

    def _hang_up(self) -> None:
        for channel in self._channels:
            channel.hang_up()
