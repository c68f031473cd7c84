"""COMPRESS=DEFLATE: both directions of a session (RFC 4978).

What the client sends is made larger in steps of at most STEP octets, when somebody wants more; so a few octets
that stand for many megabytes are no more in memory than the same sent as they are. What is sent ends each time
where the other side can read all of it. A session that is compressed costs about 110 KiB: 64 to deflate, with
the window and level below, and what a client's own window of 32 KiB asks for.
"""

from __future__ import annotations

import zlib
from typing import Final

STEP: Final = 64 * 1024
_LEVEL: Final = 3
_WINDOW: Final = -13  # 8 KiB, without a header (RFC 1951)
_MEMORY: Final = 6
_CLIENTS_WINDOW: Final = -15


class BrokenStream(Exception):
    """What came is no DEFLATE stream, or one that has ended. Nothing after it can be understood."""


class Compression:
    """One session's two streams."""

    def __init__(self) -> None:
        self._deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY)
        self._inflater = zlib.decompressobj(_CLIENTS_WINDOW)
        self._compressed = b""
        self._full = False  # the last step gave as much as it may: there may be more inside the inflater

    def deflate(self, data: bytes) -> bytes:
        """What to send for `data`."""
        return self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)

    def received(self, data: bytes) -> None:
        self._compressed += data

    @property
    def held(self) -> int:
        """Compressed octets that `inflate` has not taken yet."""
        return len(self._compressed)

    @property
    def waiting(self) -> bool:
        """Would `inflate` perhaps give something?"""
        return self._full or bool(self._compressed)

    def inflate(self) -> bytes:
        """At most STEP octets of what the client said. Raises BrokenStream, after which nothing is waiting."""
        compressed, self._compressed = self._compressed, b""
        try:
            data = self._inflater.decompress(compressed, STEP)
        except zlib.error as error:
            self._full = False
            raise BrokenStream from error
        self._compressed = self._inflater.unconsumed_tail
        self._full = len(data) == STEP
        if self._inflater.eof:
            self._compressed, self._full = b"", False
            raise BrokenStream
        return data
