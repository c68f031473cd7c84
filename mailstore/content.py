"""The bytes of one stored message, read in pieces so that a large message is never in memory whole."""

from __future__ import annotations

import mmap
import os
from types import TracebackType

from mailstore.errors import MessageLost

WHOLE = 4 * 1024 * 1024  # up to this size a message may be read in one piece


class Content:
    """An open message. Offsets and sizes are in octets as sent to a client. Close it after use.

    The open file outlives an EXPUNGE by another session: what was begun to be sent is sent to its end.
    """

    __slots__ = ("_fd", "size")

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """At most `length` octets from `offset`; fewer only at the end. Raises MessageLost when the file was cut."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        try:
            data = os.pread(self._fd, length, offset)
        except OSError as error:
            raise MessageLost("the message's file cannot be read") from error
        if len(data) < length:
            raise MessageLost("the message's file is shorter than it was")
        return data

    def whole(self) -> bytes | mmap.mmap:
        """All of it as one bytes-like object: in memory up to WHOLE octets, mapped from the file beyond.

        Raises MessageLost.
        """
        if self.size <= WHOLE:
            return self.read(0, self.size)
        try:
            return mmap.mmap(self._fd, self.size, access=mmap.ACCESS_READ)
        except (ValueError, OSError) as error:  # ValueError: shorter than it was
            raise MessageLost("the message's file is shorter than it was, or cannot be read") from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Content:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
