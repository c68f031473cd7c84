"""The bytes of one stored message, read in pieces so that a large message is never in memory whole.

Two kinds: `Content` gives a file's bytes as they are; `NativeContent` gives those of a file that another program
delivered with the line ends of its system, each bare LF as CRLF (RFC 5322 2.3), which is what IMAP and POP3 speak.

Nothing is mapped: a file that somebody else cuts short while it is read is a MessageLost, not a SIGBUS.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_right
from types import TracebackType
from typing import Self

from mailstore.errors import MessageLost, StorageFailed
from mailstore.file_systems import of_the_server
from mailstore.message.octets import Windows

WHOLE = 4 * 1024 * 1024  # up to this size a message may be read in one piece
_BLOCK = 64 * 1024  # a native file is converted in blocks of so many octets


class Content:
    """An open message. Offsets and sizes are in octets as sent to a client. Close it after use.

    The open file outlives an EXPUNGE by another session: what was begun to be sent is sent to its end.
    """

    __slots__ = ("_fd", "size")

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` octets from `offset`; fewer only at the end. Raises MessageLost when the file was cut,
        StorageFailed when the server of its disk is gone."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        data = self._stored(offset, length)
        if len(data) < length:
            raise _cut()
        return data

    def at_hand(self, offset: int, length: int) -> bytes | None:
        """The same, where it is in memory and nothing has to be waited for; else None, and `read` has to."""
        room = bytearray(max(0, min(length, self.size - offset)))
        try:
            return bytes(room) if os.preadv(self._fd, [room], offset, os.RWF_NOWAIT) == len(room) else None
        except OSError:  # EAGAIN, and EOPNOTSUPP of filesystems that cannot say
            return None

    def whole(self) -> bytes | Windows:
        """All of it as one sequence of octets: in memory up to WHOLE octets, read from the file beyond as it is
        looked at, which works until `close`. Raises MessageLost, and so does reading what was cut off meanwhile.
        """
        if self.size <= WHOLE:
            return self.read(0, self.size)
        self.read(self.size - 1, 1)
        return Windows(self.read, self.size)

    def _stored(self, offset: int, length: int) -> bytes:
        try:
            return os.pread(self._fd, length, offset)
        except OSError as error:
            if of_the_server(error, self._fd):
                raise StorageFailed(f"the disk refused: {error.strerror}") from error
            raise MessageLost("the message's file cannot be read") from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class NativeContent(Content):
    """A file with bare LFs, sent with CRLFs; `size` is the size as sent.

    Where each block of the file begins in what is sent is noted as far as the file was read: eight octets for
    64 KiB, so that reading on, or again, costs the blocks asked for and nothing else.
    """

    __slots__ = ("_starts",)

    def __init__(self, fd: int, size: int) -> None:
        super().__init__(fd, size)
        self._starts = array("Q", [0])

    def at_hand(self, offset: int, length: int) -> bytes | None:
        """None: what has to be converted takes a while."""
        return None

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        if end <= offset:
            return b""
        block = bisect_right(self._starts, offset) - 1
        position = self._starts[block]
        pieces = []
        while position < end:
            data = self._converted(block)
            if not data:
                raise _cut()
            pieces.append(data[max(offset - position, 0) : end - position])
            position += len(data)
            block += 1
            if block == len(self._starts):
                self._starts.append(position)
        return b"".join(pieces)

    def _converted(self, block: int) -> bytes:
        """A block as it is sent. The octet before it says whether an LF at its start is a bare one."""
        start = block * _BLOCK
        if start == 0:
            return crlf(self._stored(0, _BLOCK))
        data = self._stored(start - 1, _BLOCK + 1)
        return crlf(data[1:], after=data[:1])


def content_of(fd: int, size: int, *, native: bool) -> Content:
    """An open file as the index describes it."""
    return NativeContent(fd, size) if native else Content(fd, size)


def crlf(data: bytes, after: bytes = b"") -> bytes:
    """Octets with each bare LF as CRLF; `after` is the octet that comes before them."""
    converted = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if after == b"\r" and data[:1] == b"\n":
        return converted[1:]
    return converted


def _cut() -> MessageLost:
    return MessageLost("the message's file is shorter than it was")
