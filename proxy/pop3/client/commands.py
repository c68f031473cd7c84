"""The commands that are ever sent to a legacy server.

Its mailbox is read only to us: DELE is not among the verbs, and no argument can smuggle in a command of its
own, because nothing with a line end passes. RSET is not needed where nothing is ever marked.
"""

from __future__ import annotations

import base64
import enum
import re
from collections.abc import Iterable

COMMAND_LIMIT = 255  # octets of a command with its CRLF that every server takes (RFC 2449 4)
ARGUMENT_LIMIT = 1024  # octets of a name or a password

_UNSENDABLE = re.compile(rb"[\r\n\0]")


class Verb(enum.Enum):
    """What a client may say (RFC 1939, 2449, 2595, 5034, 6856; LAST is of RFC 1460)."""

    USER = b"USER"
    PASS = b"PASS"
    APOP = b"APOP"
    AUTH = b"AUTH"
    CAPA = b"CAPA"
    STLS = b"STLS"
    UTF8 = b"UTF8"
    STAT = b"STAT"
    LIST = b"LIST"
    UIDL = b"UIDL"
    LAST = b"LAST"
    RETR = b"RETR"
    TOP = b"TOP"
    NOOP = b"NOOP"
    QUIT = b"QUIT"


def sendable(argument: bytes) -> bool:
    """Can this be an argument of a command at all?"""
    return len(argument) <= ARGUMENT_LIMIT and not _UNSENDABLE.search(argument)


def command(verb: Verb, *arguments: bytes | int) -> bytes:
    """One command with its CRLF. Raises ValueError for an argument that is not `sendable`."""
    words = [verb.value]
    for argument in arguments:
        word = b"%d" % argument if isinstance(argument, int) else argument
        if not sendable(word):
            raise ValueError("an argument that cannot be sent")
        words.append(word)
    return b" ".join(words) + b"\r\n"


def retrievals(numbers: Iterable[int]) -> bytes:
    """A RETR for each number, to be sent in one write."""
    return b"".join([b"RETR %d\r\n" % number for number in numbers])


def plain_response(user: bytes, password: bytes) -> bytes:
    """The message of SASL PLAIN in base64 (RFC 4616 2), without line end."""
    return base64.b64encode(b"\0" + user + b"\0" + password)


def sasl_line(response: bytes) -> bytes:
    """A line in answer to a SASL challenge (RFC 5034 4): base64, or "*" to give up."""
    if not re.fullmatch(rb"[A-Za-z0-9+/=]*|\*", response):
        raise ValueError("neither base64 nor *")
    return response + b"\r\n"
