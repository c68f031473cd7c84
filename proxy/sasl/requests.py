r"""What a client may say: Dovecot's authentication protocol, version 1.2. Lines in, typed requests out; no I/O.

    VERSION TAB major TAB minor                                before all else
    CPID TAB process                                           then
    AUTH TAB id TAB mechanism *(TAB parameter) [TAB resp=…]    any number of these, several at a time
    CONT TAB id TAB response
    CANCEL TAB id

A line ends with LF. Responses are in base64 (RFC 4648 4). A parameter is a word or name=value; one that is not known is
nobody's mistake. In values the octet 1 takes away or gives a meaning: `\1t` is TAB, `\1n` LF, `\1r` CR, `\10` NUL, and
before anything else it stands for that.

Commands that are not these end a connection: whoever says GET or EHLO is not to be answered line by line.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field
from typing import Final

from proxy.wire.trusted import plain_address

_NUMBER: Final = re.compile(rb"\d{1,10}")
_ESCAPED: Final = re.compile(rb"\x01(.)", re.DOTALL)
_ESCAPES: Final = {b"0": b"\0", b"1": b"\x01", b"t": b"\t", b"r": b"\r", b"n": b"\n", b"l": b"\n"}
_TOO_LONG: Final = re.compile(rb"(?:AUTH|CONT)\t(\d{1,10})\t")
_MOST: Final = 2**32 - 1


class NotTheProtocol(Exception):
    """Nothing that follows can be understood either. The text is for the log."""


class UnfitRequest(Exception):
    """One request is wrong. The text is for its client, in ASCII."""

    def __init__(self, id_: int, text: str) -> None:
        super().__init__(text)
        self.id = id_
        self.text = text


@dataclass(frozen=True, slots=True)
class Version:
    """What the client speaks."""

    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class ClientProcess:
    """The end of the client's greeting."""

    number: int


@dataclass(frozen=True, slots=True)
class Begin:
    """A login begins. `address` is where the user's client is, "" where that is not said; `secured`: it has TLS."""

    id: int
    mechanism: bytes
    address: str = ""
    secured: bool = False
    response: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Continue:
    """It goes on."""

    id: int
    response: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for it any more."""

    id: int


Request = Version | ClientProcess | Begin | Continue | Cancel


def parse(line: bytes) -> Request:
    """One line, without its end. Raises NotTheProtocol, UnfitRequest."""
    command, *words = line.split(b"\t")
    match command, words:
        case b"VERSION", [major, minor]:
            return Version(_number(major), _number(minor))
        case b"CPID", [process]:
            return ClientProcess(_number(process))
        case b"AUTH", [id_, mechanism, *parameters]:
            return _begin(_number(id_), mechanism, parameters)
        case b"CONT", [id_, response]:
            number = _number(id_)
            return Continue(number, _decoded(number, response))
        case b"CANCEL", [id_]:
            return Cancel(_number(id_))
    raise NotTheProtocol("no line of Dovecot's authentication protocol")


def id_of(beginning: bytes) -> int | None:
    """Which request a line that is too long belongs to."""
    found = _TOO_LONG.match(beginning)
    return None if found is None else _number(found[1])


def _begin(id_: int, mechanism: bytes, parameters: list[bytes]) -> Begin:
    address, secured, response = "", False, None
    for number, parameter in enumerate(parameters, start=1):
        name, _, value = parameter.partition(b"=")
        if name == b"resp":
            if number < len(parameters):
                raise UnfitRequest(id_, "resp= must be last")
            response = _decoded(id_, value) or None  # empty is none: Exim always has it
        elif name == b"rip":
            address = _address(_unescaped(value))
        elif name == b"secured":
            secured = True
    return Begin(id_, mechanism.upper(), address, secured, response)


def _number(text: bytes) -> int:
    if not _NUMBER.fullmatch(text) or int(text) > _MOST:
        raise NotTheProtocol("a number is none")
    return int(text)


def _decoded(id_: int, text: bytes) -> bytes:
    """A single "=" is an empty response (RFC 4954 4), as POP3 and SMTP have it."""
    if text == b"=":
        return b""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise UnfitRequest(id_, "not base64") from None


def _unescaped(value: bytes) -> bytes:
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[1], found[1]), value)


def _address(value: bytes) -> str:
    """As it is counted and logged, "" if it is none: names and nonsense do not come into the log as addresses."""
    return str(plain_address(value.decode("latin-1")) or "")
