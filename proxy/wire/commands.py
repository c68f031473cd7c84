"""From a client's bytes to whole IMAP commands: lines, and the literals that interrupt them.

No I/O: bytes go in with `feed`, events come out of `next`, one at a time, until it gives None. What a
command means is for `proxy.imap.grammar`; here it is only put together (RFC 3501 2.2.1, 4.3; RFC 7888
for `{n+}`; RFC 3516 for `~{n}`).

Rules:

1. Everything is bounded. The lines of one command together stay within `Limits.line`, its literals
   together within `Limits.literal` (the smaller pair of limits until `authenticated` is set), and there
   are at most MAX_LITERALS of them. Only the messages of an APPEND or REPLACE after login may be larger, each
   up to `Limits.message` and all together up to MESSAGES times that; they go to files as they arrive.
2. A refused command is answered once and leaves the stream in step: a synchronising literal is never
   asked for, so it never comes; one that comes anyway (`{n+}`) is read and thrown away up to a bound;
   beyond that `Refused.close` is set and the reader is deaf from then on.
3. Nothing is scanned twice, so a byte at a time costs no more than a piece at a time.
4. What looks like a literal's header and is none (`{-5}`, `{5`) is text; the grammar will refuse it.

One connection owns one reader; used from the reactor's thread only.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Final

from proxy.wire.door import Limits
from proxy.wire.lines import LineReader, LineTooLong

MAX_LITERALS: Final = 100  # in one command
MAX_TAG: Final = 128  # octets; a longer one is not given back
MESSAGES: Final = 8  # so many of the largest messages may come in one command, or more that are smaller
UNTAGGED: Final = b"*"  # in the place of a tag that could not be read

# A literal over its limit that comes without being asked for is read and thrown away up to so many
# times the limit; a larger one ends the connection.
_SWALLOW: Final = 16
_SWALLOW_MESSAGE: Final = 2

# tag = 1*<any ASTRING-CHAR except "+">
# ASTRING-CHAR = ATOM-CHAR / "]", ATOM-CHAR = any CHAR but CTL and SP ( ) { % * DQUOTE \ ]
_TAG = re.compile(rb"([!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]{1,%d})(?: |\Z)" % MAX_TAG)

# literal = "{" number64 ["+"] "}" CRLF; literal8 = "~" literal
_LITERAL = re.compile(rb"\{([0-9]+)(\+?)\}")
_LITERAL_DIGITS: Final = 18  # number64 has up to 19; no limit is near either

# append = "APPEND" SP mailbox …; a literal straight after the space is the mailbox's name. So it is with
# replace = ["UID" SP] "REPLACE" SP seq-number SP mailbox … (RFC 8508 4)
_APPEND = re.compile(rb"(?:APPEND|(?:UID +)?REPLACE +[0-9*]+) +(.?)", re.IGNORECASE | re.DOTALL)
_URL: Final = b"URL "  # in CATENATE: what follows is no message (RFC 4469 5)


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal as it came: `size` octets, in memory or, for a message handed in, in a file at its start.

    Whoever takes a Literal with a file out of a command closes the file.
    """

    size: int
    data: bytes | IO[bytes] = field(repr=False)
    binary: bool = False  # literal8, "~{n}": may hold NUL (RFC 3516 4.4)

    def close(self) -> None:
        """Close the file, if there is one. Idempotent."""
        if not isinstance(self.data, bytes):
            self.data.close()


Fragment = bytes | Literal


@dataclass(frozen=True, slots=True)
class Ready:
    """A whole command. `fragments` is what follows the tag and its space: text, literal, text, … text.

    The tag is UNTAGGED when the line has none that is valid; the text is then the whole line.
    Not printed whole: it may hold a password.
    """

    tag: bytes
    fragments: tuple[Fragment, ...] = field(repr=False)

    def close(self) -> None:
        """Close the file of a message that nobody is going to take. Idempotent."""
        for fragment in self.fragments:
            if isinstance(fragment, Literal):
                fragment.close()


@dataclass(frozen=True, slots=True)
class Continue:
    """The client waits for `+` before it sends a literal; the literal is acceptable."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that is not taken. Answer `tag status [code] text`; `code` may be empty.

    With `close`, say so (BYE) and close: what follows in the stream cannot be understood.
    """

    tag: bytes
    code: str
    text: str
    close: bool
    status: str = "BAD"  # or "NO"


@dataclass(frozen=True, slots=True)
class RawLine:
    """The one line asked for by `CommandReader.raw_line`, without its line end. May be a password."""

    line: bytes = field(repr=False)


Event = Ready | Continue | Refused | RawLine


@dataclass(slots=True)
class _Incoming:
    """A literal that is arriving. `missing` octets are still to come; `file` holds the others of a message."""

    size: int
    missing: int
    binary: bool
    file: IO[bytes] | None


class CommandReader:
    """Puts one connection's commands together."""

    __slots__ = (
        "_closed",
        "_fragments",
        "_incoming",
        "_limits",
        "_lines",
        "_literal_octets",
        "_message_octets",
        "_raw",
        "_refused",
        "_spool",
        "_tag",
        "_text_octets",
        "_unwanted",
        "authenticated",
    )

    def __init__(self, limits: Limits, spool: Callable[[], IO[bytes]]) -> None:
        """`spool` opens a file for the message of an APPEND; the reader writes it and rewinds it."""
        self.authenticated = False
        self._limits = limits
        self._spool = spool
        self._lines = LineReader(limits.line_before_login)
        self._closed = False
        self._raw = False
        self._refused = False  # the rest of a refused command is on its way, to be thrown away
        self._unwanted = 0  # octets of its literal
        self._begin()

    def feed(self, data: bytes) -> None:
        """Take in what arrived. Call `next` until it gives None, or pause the transport while `pending` grows."""
        if not self._closed:
            self._lines.feed(data)

    def next(self) -> Event | None:
        """The next event, or None until more arrives."""
        event: Event | None = None
        while event is None and not self._closed:
            if self._incoming is not None:
                event = self._receive(self._incoming)
                if event is not None:
                    break
                if self._incoming is not None:
                    return None
            if self._unwanted:
                self._unwanted -= len(self._lines.read(self._unwanted))
                if self._unwanted:
                    return None
            limits = self._limits
            self._lines.limit = (limits.line if self.authenticated else limits.line_before_login) - self._text_octets
            try:
                line = self._lines.next()
            except LineTooLong as error:
                return self._line_too_long(error.beginning)
            if line is None:
                return None
            event = self._take(line)
        return event

    def raw_line(self) -> None:
        """Deliver the next line as a RawLine: an AUTHENTICATE response, or IDLE's DONE."""
        self._raw = True

    @property
    def pending(self) -> int:
        """Octets that are here and not yet used."""
        return self._lines.pending

    @property
    def unfinished(self) -> bytes | None:
        """The tag of a command of which a literal is still coming."""
        return self._tag if self._incoming is not None else None

    @property
    def amid_command(self) -> bool:
        """Has part of a command arrived, and not yet the rest?"""
        return bool(self._fragments) or self._lines.pending > 0

    def clear(self) -> None:
        """Throw away what is here: nothing said before STARTTLS counts after it (RFC 3501 6.2.1)."""
        self._lines.clear()
        self._abandon()
        self._raw = self._refused = False
        self._unwanted = 0

    def close(self) -> None:
        """The connection is gone: throw everything away and close the file of a message half arrived."""
        self.clear()
        self._closed = True

    # --- A command, line by line ---

    def _begin(self) -> None:
        self._tag = UNTAGGED
        self._fragments: list[Fragment] = []  # empty: no command has begun
        self._incoming: _Incoming | None = None
        self._message_octets = 0  # of the literals that may be large
        self._text_octets = 0
        self._literal_octets = 0  # without the message

    def _abandon(self) -> None:
        if self._incoming is not None and self._incoming.file is not None:
            self._incoming.file.close()
        for fragment in self._fragments:
            if isinstance(fragment, Literal):
                fragment.close()
        self._begin()

    def _take(self, line: bytes) -> Event | None:
        """One line of a command, or the whole of it."""
        if self._raw:
            self._raw = False
            return RawLine(line)
        if self._refused:
            return self._take_unwanted(line)
        self._text_octets += len(line)
        text = line
        if not self._fragments:
            tagged = _TAG.match(line)
            if tagged is not None:
                self._tag = tagged[1]
                text = line[tagged.end() :]
        header = _literal_header(text)
        if header is not None:
            return self._announce(text, header)
        event = Ready(self._tag, (*self._fragments, text))
        self._begin()
        return event

    def _announce(self, text: bytes, header: _Header) -> Event | None:
        """A literal's header: take it, or refuse the command."""
        message = self._is_message(text[: header.start])
        limits = self._limits
        if message:
            limit = limits.message
            room = min(limit, MESSAGES * limit - self._message_octets)
        else:
            limit = limits.literal if self.authenticated else limits.literal_before_login
            room = limit - self._literal_octets
        if header.size > room:
            status = "NO" if message else "BAD"
            bound = limit * (_SWALLOW_MESSAGE if message else _SWALLOW)
            return self._refuse_literal(header, bound, status, "TOOBIG", "this literal is too large")
        if len(self._fragments) >= 2 * MAX_LITERALS:
            return self._refuse_literal(header, limit, "BAD", "LIMIT", "too many literals in one command")
        file = None
        if message:
            try:
                file = self._spool()
            except OSError:
                return self._refuse_literal(header, limit, "NO", "UNAVAILABLE", "no room for this message")
            self._message_octets += header.size
        else:
            self._literal_octets += header.size
        self._fragments.append(text[: header.start])
        self._incoming = _Incoming(header.size, header.size, header.binary, file)
        return Continue() if header.waits else None

    def _is_message(self, text: bytes) -> bool:
        """Is the literal after `text` a message of an APPEND, or a part of one, and allowed to be?"""
        if not self.authenticated or text[-len(_URL) :].upper() == _URL:
            return False
        opening = self._fragments[0] if self._fragments else text
        append = _APPEND.match(opening) if isinstance(opening, bytes) else None
        return append is not None and bool(append[1] or self._fragments)

    def _receive(self, incoming: _Incoming) -> Event | None:
        """What has come of a literal. Done when `_incoming` is None."""
        if incoming.file is None:
            if self._lines.pending >= incoming.size:
                data = self._lines.read(incoming.size)
                self._fragments.append(Literal(incoming.size, data, incoming.binary))
                self._incoming = None
            return None
        data = self._lines.read(incoming.missing)
        incoming.missing -= len(data)
        try:
            if data:
                incoming.file.write(data)
            if not incoming.missing:
                incoming.file.seek(0)
        except OSError:
            return self._refuse(incoming.missing, "NO", "UNAVAILABLE", "no room for this message")
        if not incoming.missing:
            self._fragments.append(Literal(incoming.size, incoming.file, incoming.binary))
            self._incoming = None
        return None

    # --- A command that is refused ---

    def _refuse_literal(self, header: _Header, bound: int, status: str, code: str, text: str) -> Refused:
        if header.waits:
            # Never asked for, so never sent: the next line is a new command (RFC 3501 7.5).
            refused = Refused(self._tag, code, text, False, status)
            self._abandon()
            return refused
        if header.size > bound:
            refused = Refused(self._tag, code, text, True, status)
            self.close()
            return refused
        return self._refuse(header.size, status, code, text)

    def _refuse(self, unwanted: int, status: str, code: str, text: str) -> Refused:
        """Refuse a command of which a literal's `unwanted` octets and the line after it are still to come."""
        refused = Refused(self._tag, code, text, False, status)
        self._abandon()
        self._refused = True
        self._unwanted = unwanted
        return refused

    def _take_unwanted(self, line: bytes) -> Event | None:
        """A line of a refused command. A client that waits now has read the refusal and will not go on."""
        header = _literal_header(line)
        if header is None or header.waits:
            self._refused = False
            return None
        limit = self._limits.literal if self.authenticated else self._limits.literal_before_login
        if header.size > limit:
            self.close()
            return Refused(UNTAGGED, "TOOBIG", "this literal is too large", True)
        self._unwanted = header.size
        return None

    def _line_too_long(self, beginning: bytes) -> Refused:
        tag = self._tag
        if not self._fragments and not self._raw and not self._refused:
            tagged = _TAG.match(beginning)
            tag = tagged[1] if tagged is not None else UNTAGGED
        self.close()
        return Refused(tag, "", "this line is too long", True)


@dataclass(frozen=True, slots=True)
class _Header:
    """What a line's end says of the literal after it. `waits`: synchronising, the client waits for `+`."""

    start: int  # where it begins in the line
    size: int
    waits: bool
    binary: bool


def _literal_header(line: bytes) -> _Header | None:
    if not line.endswith(b"}"):
        return None
    start = line.rfind(b"{")
    match = _LITERAL.fullmatch(line, start) if start >= 0 else None
    if match is None:
        return None
    waits = not match[2]
    if len(match[1]) > _LITERAL_DIGITS:
        # Not a number of the grammar. Waiting for `+`, the client can be told BAD as for any other text;
        # not waiting, it is sending what must not be read as commands: larger than every limit.
        return None if waits else _Header(start, 10**_LITERAL_DIGITS, waits, False)
    binary = line.endswith(b"~", 0, start)
    return _Header(start - binary, int(match[1]), waits, binary)
