"""The demo's mail clients: as little of IMAP and POP3 as it takes to log in, be held, and read every byte.

Plain sockets: Python's own libraries read by lines of limited length and forget how a line ended.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Final, Self

TIMEOUT: Final = 120.0  # seconds of silence
_LITERAL = re.compile(rb"\{(\d+)\}\r\n$")
_IN_PROGRESS = re.compile(rb"^\* OK \[INPROGRESS \(\"[^\"]*\" (\d+) (\d+)\)\]")


class Refused(Exception):
    """The server said no, or something that makes no sense."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One message as a client got it; `uidl` is "" over IMAP."""

    uidl: str
    raw: bytes


class _Client:
    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=TIMEOUT)
        self._file: BinaryIO = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line:
            raise Refused("the connection was closed")
        return line


class ImapClient(_Client):
    """Speaks RFC 3501 far enough."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address)
        self._tag = 0
        if not self._line().startswith(b"* OK"):
            raise Refused("no IMAP greeting")

    def _command(self, text: str, untagged: Callable[[list[bytes]], None]) -> None:
        """Send one command; each untagged answer as its pieces, literals apart. Raises Refused."""
        self._tag += 1
        tag = b"d%d" % self._tag
        self._socket.sendall(tag + b" " + text.encode() + b"\r\n")
        while True:
            pieces = [self._line()]
            while found := _LITERAL.search(pieces[-1]):
                pieces.append(self._file.read(int(found[1])))
                pieces.append(self._line())
            if not pieces[0].startswith(tag + b" "):
                untagged(pieces)
                continue
            if not pieces[0].startswith(tag + b" OK"):
                raise Refused(pieces[0].decode(errors="replace").strip())
            return

    def login(self, user: str, password: str, progress: Callable[[int, int], None]) -> None:
        """`progress(done, total)` for each notice while held (RFC 9585)."""

        def look(pieces: list[bytes]) -> None:
            if found := _IN_PROGRESS.match(pieces[0]):
                progress(int(found[1]), int(found[2]))

        self._command(f'LOGIN "{user}" "{password}"', look)

    def inbox(self) -> list[Mail]:
        """Every message, in order."""
        found: list[Mail] = []

        def look(pieces: list[bytes]) -> None:
            if len(pieces) > 1:
                found.append(Mail("", pieces[1]))

        self._command("EXAMINE INBOX", lambda pieces: None)
        self._command("FETCH 1:* (UID BODY.PEEK[])", look)
        self._command("LOGOUT", lambda pieces: None)
        return found


class Pop3Client(_Client):
    """Speaks RFC 1939 far enough."""

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address)
        self._answer()

    def _answer(self) -> bytes:
        line = self._line()
        if not line.startswith(b"+OK"):
            raise Refused(line.decode(errors="replace").strip())
        return line

    def _command(self, text: str) -> None:
        self._socket.sendall(text.encode() + b"\r\n")
        self._answer()

    def _text(self) -> bytes:
        """A multi-line answer: only CRLF ends a line, a leading dot is taken away (RFC 1939 3)."""
        lines: list[bytes] = []
        line = b""
        while True:
            line += self._line()
            if not line.endswith(b"\r\n"):
                continue
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line.removeprefix(b"."))
            line = b""

    def login(self, user: str, password: str) -> None:
        self._command(f"USER {user}")
        self._command(f"PASS {password}")

    def inbox(self) -> list[Mail]:
        """Every message, in order, with its UIDL."""
        self._command("UIDL")
        uidls = [line.split()[1].decode() for line in self._text().splitlines()]
        found = []
        for number, uidl in enumerate(uidls, 1):
            self._command(f"RETR {number}")
            found.append(Mail(uidl, self._text()))
        self._command("QUIT")
        return found


def differences(old: Sequence[Mail], new: Sequence[Mail]) -> tuple[int, list[str]]:
    """How many messages of `new` are, at the same place, to the byte those of `old`; and what is with the others."""
    same, told = 0, []
    for number in range(max(len(old), len(new))):
        if number >= len(old) or number >= len(new):
            told.append(f"message {number + 1} is only {'here' if number >= len(old) else 'at the old server'}")
            continue
        a, b = old[number], new[number]
        if a.raw != b.raw:
            told.append(f"message {number + 1} ({a.uidl}): {_first_difference(a.raw, b.raw)}")
        elif b.uidl and a.uidl != b.uidl:
            told.append(f"message {number + 1}: UIDL {b.uidl} instead of {a.uidl}")
        else:
            same += 1
    return same, told


def _first_difference(a: bytes, b: bytes) -> str:
    place = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return f"{len(a)} octets at the old server, {len(b)} here, different from octet {place} on"
