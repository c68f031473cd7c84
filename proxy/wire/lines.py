"""Bytes to lines, with a limit: for protocols of lines, POP3 above all (RFC 1939 3).

No I/O: bytes go in with `feed`, lines come out of `next`. A line ends with LF; a CR before it belongs to
the line end, any other CR to the line. No octet is looked at twice, so that a byte at a time costs no
more than a piece at a time, and a line over the limit is never held in memory whole.

One connection owns one reader. Whoever feeds it empties it, or pauses the transport while `pending` grows.
"""

from __future__ import annotations

from typing import Final

BEGINNING: Final = 256  # octets of a line over the limit that are kept
_COMPACT: Final = 65_536  # used octets at the buffer's front that are worth a move of the rest


class LineTooLong(Exception):
    """A line passed the limit. Raised once for each; the reader then skips to its end and goes on.

    `beginning` is the line's first octets, BEGINNING at most: enough to say which command it was.
    """

    def __init__(self, beginning: bytes) -> None:
        super().__init__("a line is over the limit")
        self.beginning = beginning


class LineReader:
    """Cuts one connection's bytes into lines."""

    __slots__ = ("_buffer", "_scanned", "_skipping", "_start", "limit")

    def __init__(self, limit: int) -> None:
        """`limit`: the most octets that a line may have, its line end not counted. May be changed later."""
        self.limit = limit
        self._buffer = bytearray()
        self._start = 0  # what is before is used
        self._scanned = 0  # what is between start and here holds no LF
        self._skipping = False

    def feed(self, data: bytes) -> None:
        """Take in what arrived."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next line without its line end, or None until more arrives.

        Raises LineTooLong as soon as a line passes the limit, whether or not its end is here; call again
        to go on with the line after it.
        """
        if self._skipping and not self._skip():
            return None
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            self._scanned = len(self._buffer)
            # The last octet may be the CR of the line end.
            if self.pending > self.limit + 1:
                raise self._too_long(len(self._buffer), skipping=True)
            return None
        stop = end - 1 if end > self._start and self._buffer[end - 1] == 0x0D else end
        if stop - self._start > self.limit:
            raise self._too_long(end + 1, skipping=False)
        line = bytes(self._buffer[self._start : stop])
        self._use(end + 1)
        return line

    @property
    def pending(self) -> int:
        """Octets that are here and not yet given out."""
        return len(self._buffer) - self._start

    @property
    def skipping(self) -> bool:
        """Is the rest of a line over the limit still being thrown away?"""
        return self._skipping

    def read(self, most: int) -> bytes:
        """The next octets as they came, `most` at most and fewer if fewer are here: an IMAP literal."""
        end = min(self._start + most, len(self._buffer))
        data = bytes(self._buffer[self._start : end])
        self._use(end)
        return data

    def take(self) -> bytes:
        """Everything that is here, as it came; the reader is then empty. For a change of protocol."""
        return self.read(self.pending)

    def clear(self) -> None:
        """Throw away everything that is here: what came before TLS was begun may be anybody's (RFC 2595 4)."""
        self._buffer = bytearray()
        self._start = self._scanned = 0
        self._skipping = False

    def _skip(self) -> bool:
        """Throw away up to the end of a line; True when the end was here."""
        end = self._buffer.find(b"\n", self._scanned)
        self._skipping = end < 0
        self._use(len(self._buffer) if end < 0 else end + 1)
        return end >= 0

    def _too_long(self, end: int, *, skipping: bool) -> LineTooLong:
        beginning = bytes(self._buffer[self._start : self._start + min(BEGINNING, self.limit)])
        self._skipping = skipping
        self._use(end)
        return LineTooLong(beginning)

    def _use(self, end: int) -> None:
        self._start = self._scanned = end
        if end == len(self._buffer):
            self._buffer.clear()
            self._start = self._scanned = 0
        elif end > _COMPACT:
            del self._buffer[:end]
            self._start = self._scanned = 0
