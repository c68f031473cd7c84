"""The dialogues against a real server: the private Dovecot of `tests.legacy.dovecot`, as a second opinion.

Each dialogue plays as a user of its own, whose Maildir is written before the first login.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from tests.dialogues import fixtures
from tests.dialogues.gate import ACCOUNT, PASSWORD
from tests.dialogues.script import Dialogue
from tests.legacy.dovecot import Dovecot

PATIENCE = 20.0  # seconds that an expected line may take
_LETTERS = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}


def _modified_utf7(level: str) -> str:
    """RFC 3501 5.1.3, for the names that the samples have: either all ASCII or none of it."""
    if level.isascii():
        return level
    return level.encode("utf-7").decode().replace("+", "&").replace("/", ",")


def _plain(user: str) -> bytes:
    """The response of RFC 4616 in base64."""
    return base64.b64encode(b"\0%b\0%b" % (user.encode(), PASSWORD))


def write_maildir(path: Path, setup: str) -> None:
    """One of fixtures.MAILBOXES as a Maildir that Dovecot reads, UIDs from 1, UIDLs as they are in the samples."""
    mailbox = fixtures.MAILBOXES[setup]
    for name, samples in {"": mailbox.inbox, **mailbox.folders}.items():
        folder = path / "".join("." + _modified_utf7(level) for level in name.split("/")) if name else path
        for sub in ("cur", "new", "tmp"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        lines = [f"3 V{fixtures.FIRST_DATE} N{len(samples) + 1} G{'0' * 31}1"]
        for uid, (sample, date) in enumerate(fixtures.dated(samples), 1):
            letters = "".join(_LETTERS[flag] for flag in sorted(sample.flags, key=_LETTERS.__getitem__))
            unique = f"{date}.M{uid}P1.test,S={len(sample.octets)}"
            file = folder / "cur" / f"{unique}:2,{letters}"
            file.write_bytes(sample.octets)
            os.utime(file, (date, date))
            lines.append(f"{uid} P{sample.uidl} :{unique}")
        (folder / "dovecot-uidlist").write_text("\n".join(lines) + "\n")


class SocketChannel:
    """A client's end of a connection to a real server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._buffer = bytearray()
        self._ended = False

    def send(self, data: bytes, *, bytewise: bool = False) -> None:
        self._socket.sendall(data)

    def hang_up(self) -> None:
        self._socket.close()

    def read_line(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if not self._receive(PATIENCE):
                return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def read_exactly(self, count: int) -> bytes:
        while len(self._buffer) < count and self._receive(PATIENCE):
            pass
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def leftover(self) -> bytes:
        """What is there by now; what comes later is seen by the next expectation."""
        while self._receive(0):
            pass
        return bytes(self._buffer)

    def server_has_closed(self) -> bool:
        while self._receive(PATIENCE):
            pass
        return self._ended

    def _receive(self, patience: float) -> bool:
        if self._ended or self._socket.fileno() < 0:
            return False
        self._socket.settimeout(patience)
        try:
            data = self._socket.recv(65_536)
        except (BlockingIOError, TimeoutError):
            return False
        except ConnectionError:
            data = b""
        self._buffer += data
        self._ended = not data
        return bool(data)


class SocketStage:
    """A stage for one dialogue with a server that runs, as a user of its own: it has no gate, no clock to move and no
    tricks."""

    bytewise = False
    _numbers = count(1)

    def __init__(self, ports: Mapping[str, int]) -> None:
        """By protocol."""
        self._ports = ports
        self._user = f"user{next(self._numbers)}"
        self._channels: list[SocketChannel] = []

    def connect(self, protocol: str) -> SocketChannel:
        self._channels.append(SocketChannel(self._ports[protocol]))
        return self._channels[-1]

    def advance(self, seconds: float) -> None:
        raise AssertionError("a dialogue with a real server has no clock to move (T:)")

    def tell_gate(self, words: str) -> None:
        raise AssertionError("a dialogue with a real server has no gate to tell (G:)")

    def tell_mailbox(self, words: str) -> None:
        raise AssertionError("a dialogue with a real server has no store to tell (M:)")

    def localised(self, data: bytes) -> bytes:
        """The dialogues' account is a user of this dialogue alone, as it stands and as SASL PLAIN says it."""
        user = f"{self._user}@123.com"
        return data.replace(_plain(ACCOUNT), _plain(user)).replace(ACCOUNT.encode(), user.encode())

    def settle(self) -> None:
        """A real server settles by itself."""

    def end(self, *, check: bool = True) -> None:
        for channel in self._channels:
            with contextlib.suppress(OSError):
                channel.hang_up()


class DovecotStage(SocketStage):
    """The server is Dovecot."""

    def __init__(self, server: Dovecot, dialogue: Dialogue) -> None:
        super().__init__({"imap": server.imap, "pop3": server.pop3})
        write_maildir(server.maildir(self._user), dialogue.headers["setup"])
        server.own()
