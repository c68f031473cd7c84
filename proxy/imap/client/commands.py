"""The commands that are ever sent to a legacy IMAP server.

Its mailboxes are read only to us: EXAMINE and never SELECT, FETCH with BODY.PEEK and never BODY. There is no verb
here that stores, appends, copies, expunges, subscribes or deletes, and no argument can smuggle one in, because an
argument with a line end goes as a literal or not at all.

A command is a list of chunks: each but the first is sent when the server has asked for it with "+" (RFC 3501 7.5),
behind a literal that it has to agree to.
"""

from __future__ import annotations

import base64
import enum
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

ARGUMENT_LIMIT = 4096  # octets of a name or a password; also what LITERAL- takes unasked (RFC 7888 5)

_ATOM = re.compile(rb"[A-Za-z0-9.:/_\-]+")
_QUOTABLE = re.compile(rb"[\x20-\x7e]*")
_UNSENDABLE = b"\0"  # in no string of IMAP (RFC 3501 9: CHAR8)
_UNQUOTABLE = re.compile(rb"[\r\n\0]")


class Verb(enum.Enum):
    """What a client may say (RFC 3501 6, 2342, 2971, 3691; XLIST is Google's, before RFC 6154)."""

    CAPABILITY = b"CAPABILITY"
    STARTTLS = b"STARTTLS"
    LOGIN = b"LOGIN"
    AUTHENTICATE = b"AUTHENTICATE"
    ID = b"ID"
    NAMESPACE = b"NAMESPACE"
    LIST = b"LIST"
    XLIST = b"XLIST"
    LSUB = b"LSUB"
    EXAMINE = b"EXAMINE"
    FETCH = b"UID FETCH"
    NOOP = b"NOOP"
    LOGOUT = b"LOGOUT"


@dataclass(frozen=True, slots=True)
class Raw:
    """An argument that is written here, and goes out as it stands."""

    text: bytes


@dataclass(frozen=True, slots=True)
class Name:
    """A folder's name as the server said it. It goes back in quotes, whatever octets are in it: a literal would have
    to wait for the server's word, and who sends bare UTF-8 takes it."""

    text: bytes


ALL = Raw(b"1:*")
SUMMARY = Raw(b"(UID RFC822.SIZE INTERNALDATE FLAGS)")
SUMMARY_WITH_GMAIL = Raw(b"(UID RFC822.SIZE INTERNALDATE FLAGS X-GM-MSGID)")
WHOLE = Raw(b"(UID BODY.PEEK[])")  # UID first: most servers then say first whose body it is
HEADER = Raw(b"(UID BODY.PEEK[HEADER])")
MESSAGE_ID = Raw(b"(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
INTRODUCTION = Raw(b'("name" "mailferry" "vendor" "mailferry")')
EXTENDED = Raw(b"RETURN (SUBSCRIBED SPECIAL-USE)")  # RFC 5258 3.1, RFC 6154 5.1
PLAIN = Raw(b"PLAIN")


def sendable(argument: bytes) -> bool:
    """Can this be an argument of a command at all?"""
    return len(argument) <= ARGUMENT_LIMIT and _UNSENDABLE not in argument


def nameable(name: bytes) -> bool:
    """Can a folder of this name be spoken of?"""
    return len(name) <= ARGUMENT_LIMIT and not _UNQUOTABLE.search(name)


def command(tag: bytes, verb: Verb, *arguments: bytes | Raw | Name, capabilities: Collection[str] = ()) -> list[bytes]:
    """One command, with CRLF, in chunks. Raises ValueError for an argument that is not `sendable`."""
    chunks = [tag + b" " + verb.value]
    for argument in arguments:
        if isinstance(argument, Raw):
            chunks[-1] += b" " + argument.text
            continue
        if isinstance(argument, Name):
            if not nameable(argument.text):
                raise ValueError("a name that cannot be sent")
            chunks[-1] += b" " + _quoted(argument.text)
            continue
        if not sendable(argument):
            raise ValueError("an argument that cannot be sent")
        if argument and _ATOM.fullmatch(argument) and argument.upper() != b"NIL":
            chunks[-1] += b" " + argument
        elif _QUOTABLE.fullmatch(argument):
            chunks[-1] += b" " + _quoted(argument)
        elif "LITERAL+" in capabilities or "LITERAL-" in capabilities:
            chunks[-1] += b" {%d+}\r\n" % len(argument) + argument
        else:
            chunks[-1] += b" {%d}\r\n" % len(argument)
            chunks.append(argument)
    chunks[-1] += b"\r\n"
    return chunks


def _quoted(text: bytes) -> bytes:
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def plain_response(user: bytes, password: bytes) -> bytes:
    """The message of SASL PLAIN in base64 (RFC 4616 2), without line end."""
    return base64.b64encode(b"\0" + user + b"\0" + password)


def sequence_set(runs: Iterable[Sequence[int]]) -> Raw:
    """UIDs, each run with nothing between its first and its last in the mailbox (RFC 3501 9, sequence-set)."""
    return Raw(b",".join(b"%d" % run[0] if len(run) == 1 else b"%d:%d" % (run[0], run[-1]) for run in runs))
