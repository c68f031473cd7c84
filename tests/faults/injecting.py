"""Faults of a legacy server: at which step of the dialogue, at which octet of the answer, and what happens there.

An `Injector` stands between the scripted server and its transport. It knows which command the octets that the server
sends belong to, lets them through up to the fault's offset, and then does what the fault says, once a connection.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from tests.faults.network import End

# What no server says: NUL, controls, 8-bit, and things that look like the protocol's own, but no line end of CRLF.
GARBAGE = b"\x00\xff\xfe+OK .\r.\n\x80\x15\x03\x01"
NOISE = b"\x00\xff\x81"
FORGED = b"\r\n.\r\n\x00\xff"  # what looks like the end of an answer
REFUSAL = b"-ERR [SYS/TEMP] injected fault\r\n"


class Kind(enum.Enum):
    RESET = "reset"
    SILENCE = "silence"
    GARBAGE = "garbage"
    NOISE = "garbage within a line"
    FORGED = "garbage that looks like an end"
    EOF = "early EOF"
    ERR = "-ERR"
    TWICE = "duplicate line"
    DRIP = "a byte at a time"


@dataclass(frozen=True, slots=True)
class Fault:
    """`step`: a verb, with the message's number for RETR, and `2` for the second of its kind in a connection;
    "greeting"; "TLS", the handshake; "connect". `at`: octets of the answer before it, from its end if negative."""

    kind: Kind
    step: str
    at: int = 0
    place: str = "at its beginning"
    does: Callable[[Injector, bytes, int], None] | None = None  # instead of what its kind does

    def __str__(self) -> str:
        return f"{self.kind.value} in {self.step} {self.place}"


class Injector:
    """The transport of one connection of the scripted server."""

    def __init__(self, end: End, fault: Fault | None, commands: Collection[bytes]) -> None:
        """`commands` is what the server was sent, over all its connections: it grows."""
        self.end = end
        self._fault = fault
        self._commands = commands
        self._known = len(commands)
        self._step = "greeting"
        self._seen: dict[str, int] = {}
        self.dead = False
        self.struck = False  # has the fault happened?

    def __getattr__(self, name: str) -> Any:
        return getattr(self.end, name)

    def write(self, data: bytes) -> None:
        if self.dead:
            return
        self._notice()
        fault = self._fault
        if fault is None or self.struck or fault.step != self._step:
            self.end.write(data)
            return
        self.struck = True
        at = max(0, min(fault.at if fault.at >= 0 else len(data) + fault.at, len(data)))
        (fault.does or _DO[fault.kind])(self, data, at)

    def startTLS(self, options: Any) -> None:
        if self.dead:
            return
        fault = self._fault
        if fault is None or self.struck or fault.step != "TLS":
            self.end.startTLS(options)
            return
        self.struck = True
        if fault.kind is Kind.ERR:
            self.end.send(REFUSAL)
            return
        self.end.mangle = _Below(self, fault)
        self.end.drip = fault.kind is Kind.DRIP
        self.end.startTLS(options)

    def loseConnection(self) -> None:
        if not self.dead:
            self.end.loseConnection()

    def _notice(self) -> None:
        """Which command is being answered?"""
        for line in list(self._commands)[self._known :]:
            words = line.split()
            verb = words[0].decode("ascii", "replace").upper() if words else ""
            if verb == "RETR":
                step = f"RETR {words[1].decode()}"
            else:
                step = verb
                self._seen[verb] = self._seen.get(verb, 0) + 1
                if self._seen[verb] > 1:
                    step = f"{verb} {self._seen[verb]}"
            self._step = step
        self._known = len(self._commands)

    # The faults

    def reset(self, data: bytes, at: int) -> None:
        self.end.write(data[:at])
        self.dead = True
        self.end.abortConnection()

    def silence(self, data: bytes, at: int) -> None:
        self.end.write(data[:at])
        self.dead = True

    def garbage(self, data: bytes, at: int) -> None:
        self.end.write(data[:at] + GARBAGE + data[at:])

    def noise(self, data: bytes, at: int) -> None:
        self.end.write(data[:at] + NOISE + data[at:])

    def forged(self, data: bytes, at: int) -> None:
        self.end.write(data[:at] + FORGED + data[at:])

    def early_eof(self, data: bytes, at: int) -> None:
        self.end.write(data[:at])
        self.dead = True
        self.end.loseConnection()

    def refuse(self, data: bytes, at: int) -> None:
        """-ERR, from a line's beginning, and nothing more of this answer."""
        line = data.rfind(b"\n", 0, at) + 1 if at else 0
        self.end.write(data[:line] + REFUSAL)

    def twice(self, data: bytes, at: int) -> None:
        begin = data.rfind(b"\n", 0, at) + 1
        end = data.find(b"\n", at) + 1 or len(data)
        self.end.write(data[:end] + data[begin:])

    def drip(self, data: bytes, at: int) -> None:
        """A few octets before and behind it one by one, or all of a short answer."""
        first, last = (0, len(data)) if len(data) <= 4096 else (max(0, at - 64), at + 64)
        self.end.write(data[:first])
        for octet in range(first, min(last, len(data))):
            self.end.write(data[octet : octet + 1])
        self.end.write(data[last:])


class _Below:
    """Does it to the octets of the TLS handshake, counted from its first."""

    def __init__(self, injector: Injector, fault: Fault) -> None:
        self._injector = injector
        self._fault = fault
        self._sent = 0
        self._done = fault.kind is Kind.DRIP

    def __call__(self, data: bytes) -> bytes:
        if self._injector.dead:
            return b""
        at, self._sent = self._fault.at - self._sent, self._sent + len(data)
        if self._done or at > len(data):
            return data
        self._done = True
        end, before = self._injector.end, data[:at]
        if self._fault.kind in {Kind.GARBAGE, Kind.NOISE, Kind.FORGED}:
            return before + GARBAGE + data[at:]
        if self._fault.kind is Kind.TWICE:
            return data + data
        self._injector.dead = True
        if self._fault.kind is Kind.RESET:
            end.network.clock.callLater(0, end.abortConnection)
        elif self._fault.kind is Kind.EOF:
            end.network.clock.callLater(0, end.close)
        return before


_DO: dict[Kind, Callable[[Injector, bytes, int], None]] = {
    Kind.RESET: Injector.reset,
    Kind.SILENCE: Injector.silence,
    Kind.GARBAGE: Injector.garbage,
    Kind.NOISE: Injector.noise,
    Kind.FORGED: Injector.forged,
    Kind.EOF: Injector.early_eof,
    Kind.ERR: Injector.refuse,
    Kind.TWICE: Injector.twice,
    Kind.DRIP: Injector.drip,
}
