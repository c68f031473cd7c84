"""The PROXY protocol, as a receiver reads it: whose connection it is that a proxy has passed on (HAProxy's
doc/proxy-protocol.txt, cited here as "PP", of 2020 or later).

    version 1: PROXY TCP4 192.0.2.7 198.51.100.1 56324 143 CR LF, then what the client says
    version 2: signature (12 octets), version and command, family and protocol, length (2), addresses, TLVs, then that

Bytes in, a `Header` out; no I/O. Rules:

1. Nothing is looked at before the header is whole, and nothing behind it is taken for a part of it.
2. What is not exactly a header is `Malformed`, as soon as it shows. Nothing is guessed: whether there is to be one at
   all, its receiver knows by its configuration (PP 2: "MUST not try to guess").
3. It is bounded: 107 octets in version 1 (PP 2.1), `MOST` behind the first 16 in version 2.
4. Where the header says nothing of a client (LOCAL, UNKNOWN, families that are not TCP), there is none: the connection
   is the proxy's own, and not encrypted, whatever else stands there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"  # PP 2.2
FIXED: Final = 16  # octets of version 2 up to its length
MOST: Final = 2_048  # … and of what may follow; PP 2 has all of it fit into 536, and proxies of others add to that
LONGEST_LINE: Final = 107  # PP 2.1, with its CR LF
_WORD: Final = b"PROXY "
_LOCAL, _PROXY = 0x20, 0x21  # version and command
_TCP4, _TCP6 = 0x11, 0x21  # family and protocol
_CRC32C, _SSL = 0x03, 0x20  # types of TLVs
_CLIENT_SSL: Final = 0x01
_PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")


class Malformed(Exception):
    """This is no header. The text says what is wrong, and has nothing in it that was sent."""


@dataclass(frozen=True, slots=True)
class End:
    """One end of the client's connection."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Header:
    """`client` has connected to `server`, at the proxy; None: this is the proxy's own connection. `encrypted`: the
    client speaks TLS with the proxy."""

    client: End | None = None
    server: End | None = None
    encrypted: bool = False


class HeaderReader:
    """Reads one header. Behind it, `rest` is what the client has said so far."""

    def __init__(self) -> None:
        self.rest = b""
        self._seen = b""

    def feed(self, data: bytes) -> Header | None:
        """None until the header is whole. Raises Malformed."""
        self._seen += data
        seen = self._seen
        if seen[: len(SIGNATURE)] == SIGNATURE[: len(seen)]:
            return self._version_2()
        if seen[: len(_WORD)] == _WORD[: len(seen)]:
            return self._version_1()
        raise Malformed("it does not begin with a PROXY header")

    def _version_1(self) -> Header | None:
        line, end, rest = self._seen.partition(b"\r\n")
        if len(line) + 2 > LONGEST_LINE if end else len(line) >= LONGEST_LINE:
            raise Malformed("the line of its PROXY header is too long")
        if not end:
            return None
        self._seen, self.rest = b"", rest
        return _header_in(line)

    def _version_2(self) -> Header | None:
        seen = self._seen
        _look_at(seen[12:13], seen[13:14])
        if len(seen) < FIXED:
            return None
        length = int.from_bytes(seen[14:FIXED])
        if length > MOST:
            raise Malformed(f"its PROXY header is too long: {length} octets")
        if len(seen) < FIXED + length:
            return None
        whole, self._seen, self.rest = seen[: FIXED + length], b"", seen[FIXED + length :]
        return _header_of(whole)


def _look_at(command: bytes, family: bytes) -> None:
    """As soon as they are there, and as far as they count. Raises Malformed."""
    if command and command[0] not in {_LOCAL, _PROXY}:
        raise Malformed("its PROXY header has a version or a command that does not exist")
    if family and command[0] == _PROXY and (family[0] >> 4 > 3 or family[0] & 0x0F > 2):
        raise Malformed("its PROXY header has an address family that does not exist")


# Version 1


def _header_in(line: bytes) -> Header:
    kind, _, addresses = line.removeprefix(_WORD).partition(b" ")
    if kind == b"UNKNOWN":  # PP 2.1: whatever stands behind it
        return Header()
    words = addresses.split(b" ")
    if kind not in {b"TCP4", b"TCP6"} or len(words) != 4:
        raise Malformed("the line of its PROXY header is not understood")
    version = 4 if kind == b"TCP4" else 6
    client, server, client_port, server_port = words
    return Header(
        End(_address(client, version), _port(client_port)), End(_address(server, version), _port(server_port))
    )


def _address(word: bytes, version: int) -> str:
    try:
        found = ipaddress.ip_address(word.decode("ascii"))
    except ValueError:  # UnicodeDecodeError is one
        raise Malformed("an address in its PROXY header is none") from None
    if found.version != version or b"%" in word:
        raise Malformed("an address in its PROXY header is not of the kind that it says")
    return str(found)


def _port(word: bytes) -> int:
    if not _PORT.fullmatch(word) or int(word) > 65_535:
        raise Malformed("a port in its PROXY header is none")
    return int(word)


# Version 2


def _header_of(whole: bytes) -> Header:
    command, family, block = whole[12], whole[13], whole[FIXED:]
    if command == _LOCAL or family not in {_TCP4, _TCP6}:
        return Header()
    octets = 4 if family == _TCP4 else 16
    behind = 2 * octets + 4
    if len(block) < behind:
        raise Malformed("its PROXY header breaks off within the addresses")
    client, server = (str(ipaddress.ip_address(block[at : at + octets])) for at in (0, octets))
    client_port, server_port = (int.from_bytes(block[at : at + 2]) for at in (2 * octets, 2 * octets + 2))
    encrypted = False
    for kind, at, value in _vectors(block, behind):
        if kind == _SSL and len(value) >= 5:  # PP 2.2.6: client, verify, and more of no use here
            encrypted = bool(value[0] & _CLIENT_SSL)
        elif kind == _CRC32C:
            _check_sum(whole, FIXED + at, value)
    return Header(End(client, client_port), End(server, server_port), encrypted)


def _vectors(block: bytes, at: int) -> Iterator[tuple[int, int, bytes]]:
    """Type, place and value of each TLV from `at` on."""
    while at < len(block):
        begin, length = at + 3, int.from_bytes(block[at + 1 : at + 3])
        if begin + length > len(block):
            raise Malformed("its PROXY header breaks off within what follows the addresses")
        yield block[at], begin, block[begin : begin + length]
        at = begin + length


def _check_sum(whole: bytes, at: int, value: bytes) -> None:
    """PP 2.2.3: over the header with zeros in place of the sum."""
    if len(value) != 4 or crc32c(whole[:at] + bytes(4) + whole[at + 4 :]) != int.from_bytes(value):
        raise Malformed("the checksum of its PROXY header is wrong")


def _remainders() -> Iterator[int]:
    for octet in range(256):
        remainder = octet
        for _ in range(8):
            remainder = remainder >> 1 ^ (0x82F63B78 if remainder & 1 else 0)
        yield remainder


_TABLE: Final = tuple(_remainders())


def crc32c(data: bytes) -> int:
    """RFC 9260 appendix A (RFC 4960 appendix B)."""
    remainder = 0xFFFFFFFF
    for octet in data:
        remainder = remainder >> 8 ^ _TABLE[(remainder ^ octet) & 0xFF]
    return remainder ^ 0xFFFFFFFF
