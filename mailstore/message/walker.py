"""Where everything in a message is: one pass over its octets that finds every part, by offset.

What holds of the tree that comes out:

- `0 <= start <= body <= end <= len(data)`, parts lie inside their parent's body, in order, without overlap.
- The line end before a boundary delimiter belongs to the delimiter (RFC 2046 5.1.1). A header that runs into one
  ends there.
- A header ends with its blank line; without one all of it is header.
- A delimiter is a line of "--", the boundary and white space at most; a closing one may have anything behind its
  second "--" (list servers write their footer there). So `--abcd` is no delimiter of `abc`. Of several open
  multiparts with one and the same boundary the innermost has it.
- An unclosed multipart ends with its parent, or the message.
- `content_type` is what a client can be told: a multipart without a boundary or without a single part counts as
  text/plain, one nested deeper than MAX_DEPTH as application/octet-stream.
- Nothing is opened beyond MAX_PARTS: what follows is part of the last.
- A header is copied up to HEADER_LIMIT octets, all headers of a message up to HEADERS_LIMIT together;
  offsets are right beyond that.

`walk` raises nothing, takes time linear in the message's length, and gives a mapped file's pages back as it goes
(`mailstore.message.octets`). It is for whoever needs a message's structure; it knows no protocol.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from mailstore.message.headers import first
from mailstore.message.octets import Windows, octets
from mailstore.message.parameters import (
    MESSAGE_RFC822,
    OCTET_STREAM,
    TEXT_PLAIN,
    ContentType,
    Params,
    content_type,
)

__all__ = ["ContentType", "Params", "Part", "find", "walk"]

MAX_DEPTH: Final = 100
MAX_PARTS: Final = 10_000
HEADER_LIMIT: Final = 1024 * 1024
HEADERS_LIMIT: Final = 4 * 1024 * 1024

_LONGEST_BOUNDARY: Final = 998  # a line's length (RFC 5322 2.1.1); the grammar has 70
_LONGEST_LINE: Final = 2 * _LONGEST_BOUNDARY  # what is looked at of a line that may be a delimiter


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message, or the message itself. Offsets are absolute, `end` is exclusive."""

    start: int  # of the header
    body: int  # after the header's blank line
    end: int
    header: bytes  # the raw header block with its blank line
    content_type: ContentType
    parts: tuple[Part, ...]  # of a multipart, at least one; else empty
    message: Part | None  # what a message/rfc822 or message/global has inside
    lines: int  # LFs in the body of text/* and of message/rfc822; else 0
    boundary: bytes | None  # of a multipart


def walk(data: bytes | mmap.mmap | Windows) -> Part:
    """The tree of a whole message."""
    return _Walk(data).run()


def find(part: Part, path: Sequence[int]) -> Part | None:
    """The part of a message that an IMAP part number names (RFC 3501 6.4.5); None when there is no such part.

    `part` is the whole message, and an empty path names it. A number counts, from 1, the parts of a multipart. A
    message, the outermost or one inside message/rfc822, that is no multipart has one part, number 1: itself. A
    number after that of a message/rfc822 counts within the message inside it. `mailstore.message.section`
    finds header and text of what this returns.
    """
    found = part
    whole_message = True  # `found` is a message whose own parts are still to be counted
    for number in path:
        if found.message is not None and not whole_message:
            found, whole_message = found.message, True
        if found.parts:
            if not 1 <= number <= len(found.parts):
                return None
            found = found.parts[number - 1]
        elif not whole_message or number != 1:
            return None
        whole_message = False
    return found


class _Delimiter(NamedTuple):
    line: int  # where its line starts
    following: int  # where the next line starts
    level: int  # the stack index of the multipart that it belongs to
    closing: bool


class _Open:
    """A part whose end has not been reached."""

    __slots__ = (
        "body", "boundary", "content_type", "header", "inside", "lines_before", "listening", "shadowed", "start",
    )  # fmt: skip

    def __init__(self, start: int, body: int, header: bytes, content_type: ContentType) -> None:
        self.start = start
        self.body = body
        self.header = header
        self.content_type = content_type
        self.inside: list[Part] = []
        self.boundary: bytes | None = None  # of a multipart
        self.listening = False  # until the closing delimiter
        self.shadowed: int | None = None  # the level further out that has the same boundary
        self.lines_before: int | None = None  # of a message/rfc822: line ends before its body


class _Walk:
    """One walk. `stack` holds the open parts from the message inwards, `levels` the boundaries that count."""

    __slots__ = ("blank", "budget", "count", "levels", "lines", "lines_at", "lone_blank", "octets", "stack")

    def __init__(self, data: bytes | mmap.mmap | Windows) -> None:
        self.octets = octets(data)
        self.stack: list[_Open] = []
        self.levels: dict[bytes, int] = {}
        self.count = 0
        self.budget = HEADERS_LIMIT
        self.blank = self.lone_blank = -1  # the next blank lines: see _header_end
        self.lines = self.lines_at = 0  # so many line ends before that offset

    def run(self) -> Part:
        delimiter = self._open(0, TEXT_PLAIN)
        while delimiter is not None:
            delimiter = self._cross(delimiter)
        size = self.octets.size
        self._close(1, size)
        return self._closed(self.stack.pop(), size)

    def _open(self, start: int, default: ContentType) -> _Delimiter | None:
        """Open the part that starts here, and what is inside as long as that is a message; then the next delimiter."""
        while True:
            body = self._header_end(start)
            cut = self._delimiter(start - 1, body) if self.levels else None
            if cut is not None:
                body = cut.line
            header = self._header(start, body)
            part = _Open(start, body, header, content_type(first(header, b"content-type"), default))
            holds_message = self._look_inside(part)
            self.stack.append(part)
            self.count += 1
            if cut is not None:
                return cut
            if not holds_message:
                return self._delimiter(body - 1, self.octets.size) if self.levels else None
            start, default = body, TEXT_PLAIN

    def _look_inside(self, part: _Open) -> bool:
        """Get ready for the parts of a multipart, or for the message that a part holds: then true."""
        kind = part.content_type.type
        if kind == b"multipart":
            boundary = (part.content_type.param(b"boundary") or b"").rstrip(b" \t\r\n")
            if len(self.stack) >= MAX_DEPTH:
                part.content_type = OCTET_STREAM
            elif not 0 < len(boundary) <= _LONGEST_BOUNDARY:
                part.content_type = TEXT_PLAIN
            else:
                part.boundary = boundary
                part.listening = True
                part.shadowed = self.levels.get(boundary)
                self.levels[boundary] = len(self.stack)
        elif kind == b"message" and part.content_type.subtype in (b"rfc822", b"global"):
            if len(self.stack) < MAX_DEPTH and self.count + 1 < MAX_PARTS:
                part.lines_before = self._lines_up_to(part.body)
                return True
            part.content_type = OCTET_STREAM
        return False

    def _cross(self, delimiter: _Delimiter) -> _Delimiter | None:
        """Go over a delimiter: close what it ends, open what it begins; then the next delimiter."""
        if not delimiter.closing and self.count >= MAX_PARTS:
            return None
        end = delimiter.line - 1
        if end > 0 and self.octets.slice(end - 1, end) == b"\r":
            end -= 1
        self._close(delimiter.level + 1, end)
        multipart = self.stack[delimiter.level]
        if delimiter.closing:
            self._stop_listening(multipart)
            return self._delimiter(delimiter.following - 1, self.octets.size) if self.levels else None
        digest = multipart.content_type.subtype == b"digest"  # RFC 2046 5.1.5
        return self._open(delimiter.following, MESSAGE_RFC822 if digest else TEXT_PLAIN)

    def _close(self, level: int, end: int) -> None:
        """Close the parts from the innermost out to that level. Those that start where the line end before the
        delimiter does, or behind it, are empty."""
        if level < len(self.stack):
            end = max(end, self.stack[level].start)
        while len(self.stack) > level:
            part = self._closed(self.stack.pop(), end)
            self.stack[-1].inside.append(part)

    def _closed(self, part: _Open, end: int) -> Part:
        self._stop_listening(part)
        start, body = min(part.start, end), min(part.body, end)
        message = None
        lines = 0
        if part.lines_before is not None:
            message = part.inside.pop() if part.inside else Part(end, end, end, b"", TEXT_PLAIN, (), None, 0, None)
            lines = self._lines_up_to(end) - part.lines_before if body < end else 0
        elif part.boundary is not None and not part.inside:
            part.boundary, part.content_type = None, TEXT_PLAIN
        kind = part.content_type
        if kind.type == b"text":
            lines = self.octets.line_ends(body, end)
        header = part.header[: body - start]
        return Part(start, body, end, header, kind, tuple(part.inside), message, lines, part.boundary)

    def _stop_listening(self, part: _Open) -> None:
        """A closed multipart's delimiters count no longer; those of one further out with the same boundary do again."""
        if part.listening and part.boundary is not None:
            part.listening = False
            if part.shadowed is None:
                del self.levels[part.boundary]
            else:
                self.levels[part.boundary] = part.shadowed

    def _header_end(self, start: int) -> int:
        """Where the header that starts here ends, behind its blank line.

        The positions of the next CRLF blank line and of the next LF one before that are kept, since the
        header may be cut off long before: no octet is searched twice.
        """
        size = self.octets.size
        if start == 0:
            head = self.octets.slice(0, 2)
            if head[:1] == b"\n" or head == b"\r\n":
                return head.index(b"\n") + 1
        at = max(start - 1, 0)  # the line end before the header: the blank line may be its first
        if self.blank < at:
            found = self.octets.find(b"\n\r\n", at, size)
            self.blank = found if found >= 0 else size
        if self.lone_blank < at:
            found = self.octets.find(b"\n\n", at, self.blank + 1)
            self.lone_blank = found if found >= 0 else self.blank
        if self.lone_blank < self.blank:
            return self.lone_blank + 2
        return min(self.blank + 3, size)

    def _header(self, start: int, body: int) -> bytes:
        length = min(body - start, HEADER_LIMIT, self.budget)
        self.budget -= length
        return self.octets.slice(start, start + length)

    def _lines_up_to(self, offset: int) -> int:
        """The line ends before an offset. Asked for in rising order, but for the line end before a delimiter."""
        if offset >= self.lines_at:
            self.lines += self.octets.line_ends(self.lines_at, offset)
        else:
            self.lines -= self.octets.line_ends(offset, self.lines_at)
        self.lines_at = offset
        return self.lines

    def _delimiter(self, line_end: int, stop: int) -> _Delimiter | None:
        """The first delimiter of an open multipart on a line that follows a line end in [line_end, stop)."""
        octets, size = self.octets, self.octets.size
        at = max(line_end, 0)
        while (at := octets.find(b"\n--", at, stop)) >= 0:
            text = at + 3
            looked = min(text + _LONGEST_LINE, size)
            eol = octets.find(b"\n", text, looked)
            if eol < 0:
                eol = looked
            if eol < looked or looked == size:
                match = self._match(octets.slice(text, eol).rstrip(b" \t\r"))
                if match is not None:
                    return _Delimiter(at + 1, min(eol + 1, size), *match)
            at = eol
        return None

    def _match(self, line: bytes) -> tuple[int, bool] | None:
        """Level, and whether it closes, for a line without its leading "--" and trailing white space."""
        level = self.levels.get(line)
        if level is not None:
            return level, False
        if b"--" in line:
            for length in sorted({len(boundary) for boundary in self.levels}, reverse=True):
                if line[length : length + 2] == b"--":
                    level = self.levels.get(line[:length])
                    if level is not None:
                        return level, True
        return None
