"""What a POP3 server's answers say: bytes in, values out, no I/O.

    response   = "+OK" [SP text] CRLF / "-ERR" [SP text] CRLF / "+" SP base64 CRLF      (RFC 1939 3, RFC 5034 4)
    text       = ["[" code "]" SP] words                                               (RFC 2449 8)
    scan       = number SP octets ; unique-id = number SP 1*70(%x21-7E)                  (RFC 1939 5, 7)

Servers are taken as they are: lower case, more spaces, more words, a missing size, "+ERR" for "-ERR", empty lines
in a listing, and a line that is there twice are all read. What cannot be read at all raises LegacyProtocolError,
whose text never quotes the line: after a login it might be a line of somebody's mail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

from proxy.legacy.errors import LegacyProtocolError
from proxy.legacy.words import readable

LINE_LIMIT = 64 * 1024  # octets of a status line, or of one line of a listing
LISTED_LIMIT = 1_000_000  # messages of one mailbox
OCTETS_LIMIT = 1 << 40  # a message of more octets than this is a mistake; a listing of LISTED_LIMIT adds up to 63 bits

Capabilities = Mapping[str, tuple[str, ...]]
NO_CAPABILITIES: Capabilities = MappingProxyType({})

_CODE = re.compile(rb"\[([!-Z\\^-~]{1,64})(?: [^\[\]]{0,64})?\][ \t]*")  # some write [LOGIN-DELAY 60]
_STAMP = re.compile(rb"<[!-;=?-~]+@[!-;=?-~]+>")
_NUMBER = re.compile(rb"[0-9]{1,18}")
_USUAL = re.compile(rb"([0-9]{1,9}) ([!-~]++)\r\n")  # a line of LIST or UIDL (RFC 1939 5 and 7) …
_AROUND = 3  # … and its octets that are in neither of these
_OCTETS = re.compile(rb"\(?([0-9]{1,18})(?![^\s)])")  # "120", and "(120 octets)" as some write it


@dataclass(frozen=True, slots=True)
class Reply:
    """A status line, without its line end. `text` is readable; `words` are the octets behind the code."""

    ok: bool
    code: str | None
    words: bytes

    @property
    def text(self) -> str:
        return readable(self.words)


def parse_reply(line: bytes) -> Reply | None:
    """A status line without its line end; None when it is neither +OK nor -ERR."""
    if line[:3].upper() == b"+OK":
        ok, rest = True, line[3:]
    elif line[1:4].upper() == b"ERR" and line[:1] in b"-+":  # hMailServer said +ERR up to 2026 (its pull 594)
        ok, rest = False, line[4:]
    else:
        return None
    rest = rest.strip()
    code = _CODE.match(rest)
    if code is None:
        return Reply(ok, None, rest)
    return Reply(ok, code[1].decode("ascii").upper(), rest[code.end() :])


def parse_challenge(line: bytes) -> bytes | None:
    """What follows "+ " when a server goes on with a SASL exchange; None when the line is something else."""
    return line[1:].strip() if line == b"+" or line.startswith(b"+ ") else None


def parse_stamp(words: bytes) -> bytes | None:
    """The timestamp of a greeting that offers APOP, with its angle brackets (RFC 1939 7)."""
    found = _STAMP.search(words)
    return found[0] if found else None


def parse_capabilities(block: bytes) -> Capabilities:
    """CAPA's block (RFC 2449 5): names in capitals, each with its arguments, in capitals too."""
    listed: dict[str, tuple[str, ...]] = {}
    for line in block.splitlines():
        name, *arguments = line.decode("ascii", "replace").upper().split() or [""]
        if name:
            listed[name] = listed.get(name, ()) + tuple(arguments)
    return MappingProxyType(listed)


def parse_count(words: bytes) -> int | None:
    """How many messages STAT says there are; None where it does not say."""
    first = words.split(None, 1)[:1]
    return int(first[0]) if first and _NUMBER.fullmatch(first[0]) else None


def parse_stat(words: bytes) -> tuple[int, int]:
    """STAT's two numbers: messages, octets."""
    numbers = words.split()[:2]
    if len(numbers) == 2 and all(_NUMBER.fullmatch(number) for number in numbers):
        return int(numbers[0]), int(numbers[1])
    raise LegacyProtocolError("the answer to STAT is not two numbers")


class Listing:
    """The block of LIST or UIDL while it arrives: `feed` it, then ask for `entries`.

    An entry is a message's number and what follows it, which is empty where the server gives nothing.
    """

    __slots__ = ("_entries", "_rest", "_seen", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._entries: list[tuple[int, bytes]] = []
        self._seen: dict[int, bytes] = {}
        self._rest = bytearray()  # a line without its end

    def feed(self, data: bytes) -> None:
        """Take some more of the block. Raises LegacyProtocolError."""
        end = data.rfind(b"\n") + 1
        if end:
            whole = bytes(self._rest) + data[:end]
            self._rest = bytearray(data[end:])
            if not self._usual(whole):
                for line in whole.split(b"\n"):
                    self._line(line)
        else:
            self._rest += data
        if len(self._rest) > LINE_LIMIT:
            raise self._junk("is too long")

    def entries(self) -> list[tuple[int, bytes]]:
        """All of them, in the server's order. Raises LegacyProtocolError."""
        if self._rest:
            self._line(bytes(self._rest))
            self._rest.clear()
        return self._entries

    def _usual(self, lines: bytes) -> bool:
        """Take lines that are all of the usual kind, in a fraction of the time; False, and nothing taken, where one is
        not."""
        found = _USUAL.findall(lines)
        if sum(map(len, chain.from_iterable(found))) + _AROUND * len(found) != len(lines):
            return False
        taken = [(int(number), words) for number, words in found]
        fresh = dict(taken)
        new = len(fresh) == len(taken) and 0 not in fresh and self._seen.keys().isdisjoint(fresh)
        if not new or len(self._entries) + len(taken) > LISTED_LIMIT:
            return False
        self._seen.update(fresh)
        self._entries += taken
        return True

    def _line(self, line: bytes) -> None:
        words = line.rstrip().split(None, 1)
        if not words:
            return
        if not _NUMBER.fullmatch(words[0]):
            raise self._junk("does not begin with a message's number")
        number, rest = int(words[0]), words[1] if len(words) > 1 else b""
        before = self._seen.get(number)
        if before == rest:
            return
        if number < 1 or before is not None:
            raise self._junk("names a message that cannot be, or one that was listed otherwise before")
        if len(self._entries) >= LISTED_LIMIT:
            raise LegacyProtocolError(f"{self._what} lists more than {LISTED_LIMIT} messages")
        self._seen[number] = rest
        self._entries.append((number, rest))

    def _junk(self, what: str) -> LegacyProtocolError:
        return LegacyProtocolError(f"line {len(self._entries) + 1} of the answer to {self._what} {what}")


def octets(words: bytes) -> int | None:
    """A size in a listing; None when it is not there, is not a number, or cannot be."""
    if words.isdigit() and len(words) <= 12:  # nearly all
        return int(words)
    found = _OCTETS.match(words)
    size = int(found[1]) if found else None
    return size if size is None or size <= OCTETS_LIMIT else None
