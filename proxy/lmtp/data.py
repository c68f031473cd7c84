"""A message as it comes off the wire: where it ends, and what was in it (RFC 5321 4.5.2).

* It ends with CRLF "." CRLF, and with nothing else: neither LF "." LF nor LF "." CRLF nor CR "." CR ends it, or mail
  that somebody wrote could pretend to be the next command ("SMTP smuggling"). All of these are content.
* A dot at the beginning of a line, which is after CRLF or at the very start, is taken away. After a bare LF it stays.
* Everything else is kept as it is: bare CR and LF, NUL, 8-bit, lines of any length.
* However the input is cut, every octet is looked at a constant number of times, and no more than four are kept.

The header is looked through on its way (`HeaderFilter`): a Return-Path that is there already goes, since who delivers
writes it (RFC 5321 4.4), and Received lines are counted, of which a message in a loop has more and more.

No I/O.
"""

from __future__ import annotations

from typing import Final

_END: Final = b"\r\n.\r\n"
_DOTTED: Final = b"\r\n."
_BEGINNINGS: Final = tuple(_END[:n] for n in range(len(_END) - 1, 0, -1))  # longest first


class DataDecoder:
    """One message: `feed` until it says where the message ended."""

    __slots__ = ("_carry", "_virtual")

    def __init__(self) -> None:
        self._carry = b"\r\n"  # what is before the first octet is a line end, which is not content
        self._virtual = 2

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """Content, and the offset behind the end; -1 where the message goes on."""
        work = self._carry + data
        end = work.find(_END)
        if end >= 0:
            behind = end + len(_END) - len(self._carry)
            return self._content(work[: end + 2]), behind
        self._carry = next((each for each in _BEGINNINGS if work.endswith(each)), b"")
        return self._content(work[: len(work) - len(self._carry)]), -1

    def _content(self, raw: bytes) -> bytes:
        content = raw.replace(_DOTTED, b"\r\n")
        if self._virtual and raw:
            content = content[self._virtual :]
            self._virtual = 0
        return content


_SHORT: Final = 64  # octets of a line from which its field's name is known
_RETURN_PATH: Final = b"return-path:"
_RECEIVED: Final = b"received:"


class HeaderFilter:
    """What stands before a message's first empty line, without its Return-Path; the rest passes untouched. Lines may
    end with a bare LF here: so it is read by those who will read it."""

    __slots__ = ("_begun", "_body", "_dropping", "_held", "received")

    def __init__(self) -> None:
        self.received = 0  # Received lines so far
        self._held = b""  # the beginning of a line of which it is not known yet what it is
        self._begun = False  # is the rest of a line on its way, of which it is?
        self._dropping = False
        self._body = False

    def feed(self, data: bytes) -> bytes:
        """What of it is kept, as far as that is known."""
        if self._body:
            return data
        data = self._held + data
        kept: list[bytes] = []
        at = 0
        while (end := data.find(b"\n", at)) >= 0:
            empty = self._line(data, at, kept, end + 1)
            self._begun = False
            at = end + 1
            if empty:
                self._body = True
                break
        rest = data[at:]
        if self._body:
            kept.append(rest)
            self._held = b""
        elif self._begun or len(rest) >= _SHORT:
            self._line(data, at, kept, len(data))
            self._begun = True
            self._held = b""
        else:
            self._held = rest
        return b"".join(kept)

    def end(self) -> bytes:
        """What was held back: the message is over."""
        kept: list[bytes] = []
        held, self._held = self._held, b""
        if held and not self._body:
            self._line(held, 0, kept, len(held))
        return b"".join(kept)

    def _line(self, data: bytes, start: int, kept: list[bytes], stop: int) -> bool:
        """A line, or as much of it as is here; is it the empty one?"""
        empty = False
        if not self._begun:
            first = data[start : min(stop, start + _SHORT)]
            if first in {b"\n", b"\r\n"}:
                empty = True
                self._dropping = False
            elif first[:1] not in {b" ", b"\t"}:
                name = first.lower()
                self._dropping = _is_field(name, _RETURN_PATH)
                self.received += _is_field(name, _RECEIVED)
        if not self._dropping:
            kept.append(data[start:stop])
        return empty


def _is_field(line: bytes, name: bytes) -> bool:
    """Old mail has spaces before the colon (RFC 5322 4.5)."""
    found, colon, _ = line.partition(b":")
    return bool(colon) and found.rstrip(b" \t") == name[:-1]
