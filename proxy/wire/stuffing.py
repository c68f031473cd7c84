"""A message on its way out as a dot-stuffed block: the counterpart of `proxy.wire.blocks`.

    multi-line = *(line CRLF) "." CRLF      (RFC 1939 3)

Rules the encoder keeps:

* A line starts at the first octet and after every LF, also after one without CR: clients that read up to LF
  would take a lone dot there for the end of the message, and what follows for the server's next reply.
* Nothing else changes: bare LF, lone CR, NUL and 8-bit go out as they are stored (invariant 4).
* The block ends in CRLF "." CRLF. A message that does not end in CRLF gets one first: behind a bare LF the
  dot would end the block for some clients and not for others.
* How the message is cut into pieces makes no difference.

No I/O. Used by the POP3 server, in whatever thread has the octets.
"""

from __future__ import annotations

from typing import Final

CRLF: Final = b"\r\n"
TERMINATOR: Final = b".\r\n"


class Stuffer:
    """Encodes one message, a piece at a time."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = CRLF  # the last two octets; the status line before the block ended in these

    def piece(self, data: bytes) -> bytes:
        """The octets to send for the message's next octets."""
        if not data:
            return b""
        at_line_start = self._tail.endswith(b"\n")
        self._tail = (self._tail + data[-2:])[-2:]
        stuffed = data.replace(b"\n.", b"\n..")
        return b"." + stuffed if at_line_start and data.startswith(b".") else stuffed

    def end(self) -> bytes:
        """What comes after the message's last octet."""
        return TERMINATOR if self._tail == CRLF else CRLF + TERMINATOR


def stuffed(message: bytes) -> bytes:
    """A whole message as a block."""
    stuffer = Stuffer()
    return stuffer.piece(message) + stuffer.end()


class TopCut:
    """Cuts what TOP sends out of a message: its header, the blank line, and the first lines of its body.

    Feed it the message's pieces in order until `done`. A line ends with LF; one that is empty but for a CR is
    blank. A message without a blank line is all header.
    """

    __slots__ = ("_in_header", "_left", "_line", "done")

    def __init__(self, lines: int) -> None:
        self.done = False
        self._left = lines
        self._in_header = True
        self._line = b""  # how the current header line began: two octets tell a blank one

    def piece(self, data: bytes) -> bytes:
        """That part of `data` which TOP sends."""
        end = 0
        if self._in_header:
            end = self._skip_header(data)
        if not self._in_header and not self.done:
            end = self._skip_body(data, end)
        return data[:end] if end < len(data) else data

    def _skip_header(self, data: bytes) -> int:
        """Where the body begins, or the end of `data`."""
        at = 0
        while True:
            end = data.find(b"\n", at)
            if end < 0:
                self._line = (self._line + data[at : at + 2])[:2]
                return len(data)
            line = self._line + data[at : min(end, at + 2)]
            self._line = b""
            at = end + 1
            if line in {b"", b"\r"}:
                self._in_header = False
                self.done = self._left == 0
                return at

    def _skip_body(self, data: bytes, at: int) -> int:
        """Where the last wanted line ends, or the end of `data`."""
        while self._left:
            end = data.find(b"\n", at)
            if end < 0:
                return len(data)
            self._left -= 1
            at = end + 1
        self.done = True
        return at
