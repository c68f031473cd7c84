"""A message on its way out as a dot-stuffed block: the counterpart of `proxy.wire.blocks`.

    multi-line = *(line CRLF) "." CRLF      (RFC 1939 3)

Rules the encoder keeps:

* Lines end in CRLF, and a dot after one is doubled: exactly what `proxy.wire.blocks` takes out again. A message
  that a legacy server sent leaves here as the same octets, so that whatever a client made of it there, it makes of
  it here.
* One exception: a dot alone on its line after a bare LF is doubled too. Many clients read up to LF; they would take
  it for the end of the message, and what follows for the server's next reply.
* Nothing else changes: bare LF, lone CR, NUL and 8-bit go out as they are stored (invariant 4).
* The block ends in CRLF "." CRLF. A message that does not end in CRLF gets one first: behind a bare LF the
  dot would end the block for some clients and not for others.
* How the message is cut into pieces makes no difference.

No I/O. Used by the POP3 server, in whatever thread has the octets.
"""

from __future__ import annotations

import re
from typing import Final

CRLF: Final = b"\r\n"
TERMINATOR: Final = b".\r\n"


_LONE_DOT = re.compile(rb"(?<!\r)\n\.(?=\r?\n)")
_UNDECIDED = re.compile(rb"(?:\r?\n\.?)?\r?\Z")  # what comes next tells whether a dot here is doubled


class Stuffer:
    """Encodes one message, a piece at a time."""

    __slots__ = ("_begun", "_held")

    def __init__(self) -> None:
        self._begun = False
        self._held = b""  # at most four octets of the last piece

    def piece(self, data: bytes) -> bytes:
        """The octets to send for the message's next octets."""
        if not data:
            return b""
        if not self._begun:  # the status line before the block ended in CRLF
            self._begun = True
            if data.startswith(b"."):
                data = b"." + data
        data = self._held + data
        undecided = _UNDECIDED.search(data, max(0, len(data) - 4))
        assert undecided is not None
        self._held = undecided[0]
        sent = data[: undecided.start()]
        for line_end in (b"\n", CRLF):
            if self._held.startswith(line_end):  # of the line that goes out now, which may be a lone dot
                return _doubled(sent + line_end)[: -len(line_end)]
        return _doubled(sent)

    def end(self) -> bytes:
        """What comes after the message's last octet."""
        complete = not self._begun or self._held.endswith(CRLF)
        return _doubled(self._held if complete else self._held + CRLF) + TERMINATOR


def _doubled(data: bytes) -> bytes:
    if b"." not in data:  # as in all that is in base64: this look costs a fiftieth of the others
        return data
    data = data.replace(b"\r\n.", b"\r\n..")
    return _LONE_DOT.sub(b"\n..", data) if b"\n." in data else data


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
