"""What an IMAP server's responses say: bytes in, values out, no I/O.

    response-data = "*" SP (resp-cond-state / resp-cond-bye / mailbox-data / message-data / capability-data) CRLF
    response-done = tag SP resp-cond-state CRLF
    resp-text     = ["[" resp-text-code "]" SP] text                                  (RFC 3501 9)

A response is kept in parts: text, literal, text, …, without the line ends and without the `{n}` before a literal.
Servers are taken as they are: lower case, more spaces, items in any order, and items that nobody asked for are all
read. What cannot be read at all raises LegacyProtocolError, whose text never quotes the response: it might be out of
somebody's mail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proxy.legacy.errors import LegacyProtocolError
from proxy.legacy.words import readable

DEPTH_LIMIT = 16  # of lists within lists: NAMESPACE has three

Value = bytes | None | list["Value"]  # a string or an atom; NIL; a list
Parts = Sequence[bytes]

_CODE = re.compile(rb"\[([!-Z\\^-~]{1,64})(?: ([^\]]*))?\][ \t]*")
# An atom may hold a bracketed part with spaces: BODY[HEADER.FIELDS (MESSAGE-ID)]<0>
_TOKEN = re.compile(
    rb'[ \t]*(?:(\()|(\))|"([^"\\]*+(?:\\.[^"\\]*+)*)"|((?:[^\x00-\x20()"\[\]\x7f]|\[[^\[\]]{0,512}\]|[\[\]])+))',
    re.DOTALL,
)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_NUMBER = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Reply:
    """OK, NO, BAD, BYE or PREAUTH. `text` is readable; `words` are the octets behind the code."""

    status: str  # in capitals
    code: str | None  # in capitals, without its arguments
    arguments: bytes  # of the code
    words: bytes

    @property
    def ok(self) -> bool:
        return self.status == "OK"

    @property
    def text(self) -> str:
        return readable(self.words)


@dataclass(frozen=True, slots=True)
class Untagged:
    """A response that is no status: its name in capitals, the number before it, and what follows it, in parts."""

    name: str
    number: int | None
    parts: Parts


def parse_state(text: bytes) -> Reply | None:
    """A status with what follows it; None when it is none."""
    word, _, rest = text.partition(b" ")
    status = word.upper()
    if status not in {b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"}:
        return None
    rest = rest.strip()
    code = _CODE.match(rest)
    if code is None:
        return Reply(status.decode("ascii"), None, b"", rest)
    return Reply(status.decode("ascii"), code[1].decode("ascii").upper(), code[2] or b"", rest[code.end() :])


def parse_untagged(parts: Parts) -> Untagged:
    """What follows "* ", where it is no status."""
    first, _, rest = parts[0].partition(b" ")
    number = None
    if _NUMBER.fullmatch(first):
        number = int(first)
        first, _, rest = rest.partition(b" ")
    return Untagged(first.decode("ascii", "replace").upper(), number, [rest, *parts[1:]])


def values(parts: Parts) -> list[Value]:
    """All that the parts hold, one after the other. Raises LegacyProtocolError."""
    top: list[Value] = []
    stack = [top]
    for value in _tokens(parts):
        if value == "(":
            if len(stack) >= DEPTH_LIMIT:
                raise _junk("has lists too deep within lists")
            made: list[Value] = []
            stack[-1].append(made)
            stack.append(made)
        elif value == ")":
            if len(stack) == 1:
                raise _junk("closes a list that it has not opened")
            stack.pop()
        else:
            assert not isinstance(value, str)
            stack[-1].append(value)
    if len(stack) != 1:
        raise _junk("ends within a list")
    return top


def _tokens(parts: Parts) -> Iterator[str | bytes | None]:
    for index, part in enumerate(parts):
        if index % 2:
            yield part  # a literal
            continue
        at, end = 0, len(part.rstrip(b" \t"))
        while at < end:
            token = _TOKEN.match(part, at, end)
            if token is None:
                raise _junk("holds what is neither an atom nor a string")
            at = token.end()
            opened, closed, quoted, atom = token.groups()
            if opened or closed:
                yield "(" if opened else ")"
            elif quoted is not None:
                yield _ESCAPED.sub(rb"\1", quoted) if b"\\" in quoted else quoted
            else:
                yield None if atom.upper() == b"NIL" else atom


def number(value: Value) -> int | None:
    """A number, where it is one that can be."""
    return int(value) if isinstance(value, bytes) and _NUMBER.fullmatch(value) else None


def _junk(what: str) -> LegacyProtocolError:
    return LegacyProtocolError(f"a response of the server {what}")
